# SPDX-License-Identifier: GPL-2.0-only
"""Since when? What the packaged kernels of each line said, the lines side by side. No I/O.

Of each line, case and NIC the newest run counts that gave a verdict; of a cell without one the newest of all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.archive.rows import KernelRow, RunRow
from lab.units import MIB, mib
from lab.verdict.model import Word

SPEAK = frozenset({Word.PASS.value, Word.FAIL.value, Word.DONE.value})
MOVED = 16 * MIB
"""An escape that differs by less between two lines is the same: runs of one kernel differ by some 10 MiB on virtio."""


@dataclass(frozen=True)
class Cell:
    """What one line said, in a word and bytes; the kernel that said it."""

    word: str
    escaped: int | None
    release: str

    def __str__(self) -> str:
        return f"{self.word} {mib(self.escaped)}" if self.word == Word.FAIL and self.escaped else self.word


@dataclass(frozen=True)
class Table:
    """Lines in order, the kernel of each, and a row for each case and NIC."""

    lines: tuple[str, ...]
    releases: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], tuple[Cell | None, ...]], ...]

    def changes(self) -> tuple[str, ...]:
        """What differs between two neighbours, in the order of the lines."""
        return tuple(
            f"{older} -> {newer}: {case} on {nic}: {before} -> {after}"
            for at, (older, newer) in enumerate(pairwise(self.lines))
            for (case, nic), cells in self.rows
            if (before := cells[at]) and (after := cells[at + 1]) and _differ(before, after)
        )


def _differ(before: Cell, after: Cell) -> bool:
    if before.word not in SPEAK or after.word not in SPEAK:
        return False
    is_moved = before.word == Word.FAIL and abs((before.escaped or 0) - (after.escaped or 0)) > MOVED
    return before.word != after.word or is_moved


def table(
    runs: Iterable[RunRow],
    kernels: Iterable[KernelRow],
    *,
    order: Sequence[str] = (),
    escapes: Callable[[str], bool] = lambda _: True,
) -> Table:
    """The table of the runs on packaged kernels. order: the cases, as they are shown; others come behind."""
    packaged = {k.key: k for k in kernels if k.design == "stock" and not k.base and not k.fragments}
    found: dict[tuple[str, str], dict[str, RunRow]] = {}
    for run in sorted((r for r in runs if r.kernel in packaged), key=lambda r: (r.word in SPEAK, r.started, r.key)):
        found.setdefault((run.case_name, run.nic), {})[run.line] = run
    lines = sorted({line for cells in found.values() for line in cells}, key=_as_numbers)
    rank = {case: at for at, case in enumerate(order)}
    names = sorted(found, key=lambda name: (rank.get(name[0], len(rank)), name))

    def cell(run: RunRow | None) -> Cell | None:
        if run is None:
            return None
        return Cell(run.word, run.escaped if escapes(run.case_name) else None, packaged[run.kernel].release)

    rows = tuple((name, tuple(cell(found[name].get(line)) for line in lines)) for name in names)
    releases = tuple(_newest(rows, at) for at in range(len(lines)))
    return Table(tuple(lines), releases, rows)


def _newest(rows: Sequence[tuple[tuple[str, str], tuple[Cell | None, ...]]], at: int) -> str:
    """All kernels of a column, which may be more than one."""
    return ", ".join(sorted({cell.release for _, cells in rows if (cell := cells[at])}, key=_as_numbers))


def _as_numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def markdown(found: Table) -> str:
    """The table for a document, with what changed on top."""
    changes = [f"- {words}" for words in found.changes()] or ["Nothing differs between two neighbours."]
    head = [f"| case | NIC | {' | '.join(found.lines)} |", f"|---|---|{'---|' * len(found.lines)}"]
    body = [
        f"| `{case}` | {nic} | {' | '.join(str(cell) if cell else '' for cell in cells)} |"
        for (case, nic), cells in found.rows
    ]
    kernels = [f"Kernels: {'; '.join(found.releases)}."]
    return "\n".join([*changes, "", *head, *body, "", *kernels, ""])
