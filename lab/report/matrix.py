"""Arrange runs as a table: cases down, kernel and NIC across. Shared by the text and the HTML report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from lab.plan.cases import CASES
from lab.plan.designs import DESIGNS
from lab.plan.nics import NICS
from lab.report.model import RunResult


@dataclass(frozen=True)
class Column:
    """One kernel with one NIC profile."""

    kernel: str
    nic: str


@dataclass(frozen=True)
class Row:
    """One case. `cells` has an entry per column: the runs there, none to many (repeats)."""

    case: str
    cells: tuple[tuple[RunResult, ...], ...]


@dataclass(frozen=True)
class Matrix:
    """The verdict table. Columns of one kernel stand together."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def kernels(self) -> tuple[tuple[str, int], ...]:
        """Kernel names with the number of their columns, in order."""
        return tuple((name, len(list(group))) for name, group in groupby(self.columns, lambda c: c.kernel))


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
        key=lambda c: (_place(DESIGNS, designs[c.kernel]), c.kernel, _place(NICS, c.nic)),
    )
    cases = sorted({case for case, _ in cells}, key=lambda case: _place(CASES, case))
    rows = (Row(case, tuple(tuple(cells.get((case, column), ())) for column in columns)) for case in cases)
    return Matrix(tuple(columns), tuple(rows))


def in_order(matrix: Matrix) -> Sequence[RunResult]:
    """All runs of the table, column by column."""
    return [run for i, _ in enumerate(matrix.columns) for row in matrix.rows for run in row.cells[i]]


def _place(table: Iterable[str], name: str) -> tuple[int, str]:
    names = list(table)
    return (names.index(name), name) if name in names else (len(names), name)
