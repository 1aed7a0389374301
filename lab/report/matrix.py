# SPDX-License-Identifier: GPL-2.0-only
"""Arrange runs as tables: cases down, kernels and NIC profiles across. Shared by all reports that people read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from lab.experiments.found import all_cases, all_designs
from lab.plan.design import Predicted
from lab.plan.nics import NICS
from lab.report.model import RunResult
from lab.report.wording import WORST_FIRST, escape_judged, ratios, span
from lab.verdict.model import Word

MANY_KERNELS = 3
"""From so many kernels on there is a table for each NIC profile, with kernels across: the question is which is best."""


@dataclass(frozen=True)
class Column:
    """One kernel with one NIC profile."""

    kernel: str
    nic: str


@dataclass(frozen=True)
class Cell:
    """The runs of one case on one column: none, one, or repeats that count together."""

    runs: tuple[RunResult, ...]

    @property
    def words(self) -> tuple[tuple[Word, int], ...]:
        """Each word with the number of runs that got it, worst first."""
        counts = Counter(run.verdict.word for run in self.runs)
        return tuple((word, counts[word]) for word in WORST_FIRST if counts[word])

    @property
    def predicted(self) -> tuple[str, ...]:
        """What was predicted; one word, unless the table of predictions changed between the runs."""
        return tuple(dict.fromkeys(run.predicted for run in self.runs))

    @property
    def instead_of(self) -> tuple[str, ...]:
        """What was predicted where something else came."""
        return tuple(dict.fromkeys(run.instead_of for run in self.runs if run.disagrees))

    @property
    def disagreeing(self) -> tuple[RunResult, ...]:
        return tuple(run for run in self.runs if run.disagrees)

    @property
    def is_open(self) -> bool:
        return Predicted.OPEN in self.predicted

    @property
    def not_measured(self) -> bool:
        """Some run should have said something about the kernel, and says nothing."""
        return any(run.verdict.word in (Word.ERROR, Word.MISS) for run in self.runs)

    @property
    def not_applicable(self) -> bool:
        return all(run.verdict.word is Word.SKIP for run in self.runs) and self.predicted == (Predicted.SKIP,)

    @property
    def escapes(self) -> tuple[int, int] | None:
        """Smallest and largest escape of the runs that measured one."""
        found = [size for run in self.runs if (size := escape_judged(run)) is not None]
        return (min(found), max(found)) if found else None

    @property
    def figure(self) -> str:
        """The number to set beside the words: what escaped, or what it costs; "" where neither is the point."""
        costs = [run.verdict.cost for run in self.runs if run.verdict.cost and run.verdict.word is Word.DONE]
        if costs:
            return ratios(costs)
        return span(*self.escapes) if self.escapes else ""

    @property
    def telling(self) -> RunResult:
        """The run to look at first: the worst that was not predicted, else the worst."""
        return min(self.disagreeing or self.runs, key=lambda run: WORST_FIRST.index(run.verdict.word))


@dataclass(frozen=True)
class Row:
    """One case, with a cell for each column."""

    case: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A part of the matrix that is shown as one table. `heads` are (group, columns in it) over `labels`."""

    heads: tuple[tuple[str, int], ...]
    labels: tuple[str, ...]
    starts: frozenset[int]
    rows: tuple[Row, ...]
    by_nic: bool


@dataclass(frozen=True)
class Surprise:
    """Runs of one cell that got the same word, which is not the predicted one."""

    column: Column
    case: str
    runs: tuple[RunResult, ...]
    of: int

    @property
    def first(self) -> RunResult:
        return self.runs[0]


@dataclass(frozen=True)
class Matrix:
    """The verdict table. Columns of one kernel stand together."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def tables(self) -> tuple[Table, ...]:
        """The whole matrix, or one table for each NIC profile when there are many kernels."""
        if len({c.kernel for c in self.columns}) < MANY_KERNELS:
            return (self._table(range(len(self.columns)), by_nic=False),)
        nics = dict.fromkeys(sorted((c.nic for c in self.columns), key=lambda nic: _place(NICS, nic)))
        return tuple(self._table([i for i, c in enumerate(self.columns) if c.nic == nic], by_nic=True) for nic in nics)

    def _table(self, indices: Sequence[int], *, by_nic: bool) -> Table:
        columns = [self.columns[i] for i in indices]
        outer = [c.nic if by_nic else c.kernel for c in columns]
        heads = tuple((name, len(list(group))) for name, group in groupby(outer))
        rows = (Row(row.case, tuple(row.cells[i] for i in indices)) for row in self.rows)
        return Table(
            heads,
            tuple(c.kernel if by_nic else c.nic for c in columns),
            frozenset(i for i, name in enumerate(outer) if i == 0 or outer[i - 1] != name),
            tuple(row for row in rows if any(cell.runs for cell in row.cells)),
            by_nic,
        )

    def surprises(self) -> tuple[Surprise, ...]:
        """What is not as predicted, worst word first."""
        found = [
            Surprise(column, row.case, tuple(r for r in cell.disagreeing if r.verdict.word is word), len(cell.runs))
            for row in self.rows
            for column, cell in zip(self.columns, row.cells, strict=True)
            for word in dict.fromkeys(run.verdict.word for run in cell.disagreeing)
        ]
        return tuple(sorted(found, key=lambda s: WORST_FIRST.index(s.first.verdict.word)))


def arrange(results: Iterable[RunResult]) -> Matrix:
    """Runs in the order of the tables of lab.plan (names these do not know come last, by name)."""
    cells: dict[tuple[str, Column], list[RunResult]] = defaultdict(list)
    designs: dict[str, str] = {}
    for result in results:
        record = result.manifest
        designs[record.kernel.name] = record.kernel.design
        cells[record.case, Column(record.kernel.name, record.nic)].append(result)
    columns = sorted(
        {column for _, column in cells},
        key=lambda c: (_place(all_designs(), designs[c.kernel]), c.kernel, _place(NICS, c.nic)),
    )
    cases = sorted({case for case, _ in cells}, key=lambda case: _place(all_cases(), case))
    rows = (Row(case, tuple(Cell(tuple(cells.get((case, column), ()))) for column in columns)) for case in cases)
    return Matrix(tuple(columns), tuple(rows))


def in_order(matrix: Matrix) -> Sequence[RunResult]:
    """All runs of the table, column by column."""
    return [run for i, _ in enumerate(matrix.columns) for row in matrix.rows for run in row.cells[i].runs]


def _place(table: Iterable[str], name: str) -> tuple[int, str]:
    names = list(table)
    return (names.index(name), name) if name in names else (len(names), name)
