# SPDX-License-Identifier: GPL-2.0-only
"""Which runs somebody means: those of a session, of a kernel, or of some days."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.archive.compare import in_order
from lab.archive.index import Index
from lab.archive.query import StoredSession, session, sessions, sessions_named
from lab.archive.rows import KernelRow, RunRow, SessionRow
from lab.errors import BadInput
from lab.experiments.found import all_cases
from lab.stats.flaky import WINDOW

HINT = "a session, a kernel, or days (2026-11-20, 2026-11-20..2026-11-26): lab archive list"
MOST = WINDOW + WINDOW // 2
"""Runs of one cell that are looked at: some of them say nothing."""
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")


@dataclass(frozen=True)
class Side:
    """What was asked for in words, and the runs that are meant."""

    called: str
    runs: tuple[RunRow, ...]


def side(index: Index, asked: str) -> Side:
    """Runs of a session (by its name or the beginning of one), a kernel, or days. Raises BadInput when there are none.

    Days win over sessions, whose names begin with one too, but without dashes.
    """
    if found := _DAY.fullmatch(asked):
        return Side(asked, _of_days(index, found[1], found[2] or found[1]))
    if stored := sessions_named(index, asked):
        if len({each.row.name for each in stored}) > 1:
            names = ", ".join(each.row.name for each in stored[:5])
            raise BadInput([f"{asked!r} may mean {len(stored)} sessions: {names}"], hint="type more letters")
        return of_session(stored[0])
    kernels = index.take(KernelRow, "WHERE name = ? OR release = ? OR described = ?", asked, asked, asked)
    runs = tuple(run for kernel in kernels for run in index.take(RunRow, "WHERE kernel = ?", kernel.key))
    runs = runs or tuple(index.take(RunRow, "WHERE line = ?", asked))
    if not runs:
        raise BadInput([f"{asked!r} is no session, no kernel and no day of which there are runs"], hint=HINT)
    return Side(asked, tuple(in_order(runs)))


def of_session(found: StoredSession) -> Side:
    return Side(found.row.name, tuple(in_order(stored.run for stored in found.runs)))


def last(index: Index, number: int) -> tuple[Side, Side]:
    """The sessions before the newest, as one side, and the newest. Raises BadInput when there are not two."""
    found = sessions(index, most=number + 1)
    if len(found) < 2:
        raise BadInput(["there are no two sessions in which anything was run"], hint="lab archive list")
    before = [run for each in found[1:] for run in of_session(each).runs]
    called = found[1].row.name if len(found) == 2 else f"the {len(found) - 1} sessions before it"
    return Side(called, tuple(in_order(before))), of_session(found[0])


def history(index: Index, cell: str, before: str = "~") -> list[RunRow]:
    """The last runs of a cell before a time, the oldest first: MOST of them, more than any rule looks at."""
    where = "WHERE cell = ? AND started < ? ORDER BY started DESC, key DESC LIMIT ?"
    return index.take(RunRow, where, cell, before, MOST)[::-1]


def cells(index: Index, case: str, nic: str = "", kernel: str = "") -> dict[str, list[RunRow]]:
    """The history of each cell of a case; only on a NIC profile, or of a kernel (its name, release or line)."""
    found: dict[str, list[RunRow]] = {}
    names = index.execute("SELECT DISTINCT cell FROM runs WHERE cell >= ? AND cell < ?", f"{case}/", f"{case}0")
    wanted = {row.key for row in index.take(KernelRow, "WHERE name = ? OR release = ?", kernel, kernel)}
    for (cell,) in sorted(names):
        runs = index.take(RunRow, "WHERE cell = ? ORDER BY started, key", cell)
        runs = [run for run in runs if not kernel or run.kernel in wanted or run.line == kernel]
        if runs and runs[0].case_name == case and nic in ("", runs[0].nic):
            found[str(cell)] = runs
    return found


def escapes(case: str) -> bool:
    """Whether a case is about an escape: of one that this lab does not have it may be."""
    known = all_cases().get(case)
    return known is None or known.escapes


def _of_days(index: Index, first: str, final: str) -> tuple[RunRow, ...]:
    try:
        begin, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(final)
    except ValueError as exc:
        raise BadInput([f"{first}..{final}: {exc}"], hint=HINT) from exc
    after = (end + datetime.timedelta(days=1)).isoformat()
    runs = index.take(RunRow, "WHERE started >= ? AND started < ? ORDER BY started, key", begin.isoformat(), after)
    if not runs:
        raise BadInput([f"nothing was run from {first} to {final}"], hint=HINT)
    return tuple(runs)


def of_command(index: Index, is_wanted: Callable[[str], bool], most: int) -> list[RunRow]:
    """All runs of the newest sessions, at most so many, whose command line is wanted; the oldest first."""
    rows = [row for row in index.take(SessionRow) if is_wanted(row.command)]
    newest = sorted({row.name: row for row in rows}.values(), key=lambda row: (row.started, row.name))[-most:]
    return in_order(stored.run for row in newest for stored in session(index, row).runs)
