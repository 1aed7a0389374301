# SPDX-License-Identifier: GPL-2.0-only
"""Questions to an index that is up to date."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from lab.archive.index import Index
from lab.archive.rows import PRUNED, BundleRow, HostRow, KernelRow, RunRow, SessionRow
from lab.verdict.model import Word


@dataclass(frozen=True)
class StoredRun:
    """A run, and where its bundle lies or lay."""

    run: RunRow
    bundle: BundleRow

    @property
    def pruned(self) -> bool:
        return self.bundle.state == PRUNED


@dataclass(frozen=True)
class StoredSession:
    """A session with the runs that left a bundle, in the order of their names; `also` are places that have a copy."""

    row: SessionRow
    runs: tuple[StoredRun, ...]
    also: tuple[str, ...] = ()

    @property
    def started(self) -> str:
        """By its plan, else by its first run."""
        return self.row.started or min((each.run.started for each in self.runs), default="")

    @property
    def surprises(self) -> int:
        return sum(each.run.surprise for each in self.runs)


@dataclass(frozen=True)
class Facts:
    """All that is known of a run."""

    stored: StoredRun
    kernel: KernelRow
    host: HostRow


def sessions(index: Index, *, most: int | None, empty: bool = False) -> list[StoredSession]:
    """Sessions, the newest first; those in which nothing was run only if `empty`. At most so many."""
    copies: dict[str, list[SessionRow]] = defaultdict(list)
    for row in index.take(SessionRow, "ORDER BY place, folder"):
        copies[row.name].append(row)
    begun = {name: max(row.started or _first(index, row) for row in rows) for name, rows in copies.items()}
    told = (_with_runs(index, copies[name], empty=empty) for name in sorted(copies, key=lambda n: (begun[n], n))[::-1])
    return list(islice((found for found in told if found is not None), most))


def _with_runs(index: Index, copies: Sequence[SessionRow], *, empty: bool) -> StoredSession | None:
    """The first of the copies of a session in which something was run; the first of all if empty ones are wanted."""
    full = [row for row in copies if _first(index, row)]
    if not full and not empty:
        return None
    first, *others = full or copies
    return session(index, first, others)


def _first(index: Index, row: SessionRow) -> str:
    """When the first of its runs began; "" when there is none."""
    join = "SELECT min(started) FROM bundles JOIN runs ON runs.key = bundles.key WHERE place = ? AND folder = ?"
    ((started,),) = index.execute(join, row.place, row.folder)
    return str(started or "")


def session(index: Index, row: SessionRow, copies: Sequence[SessionRow] = ()) -> StoredSession:
    """One with its runs."""
    where = "WHERE place = ? AND folder = ?"
    bundles = index.take(BundleRow, f"{where} AND key != '' ORDER BY name", row.place, row.folder)
    join = "JOIN bundles ON bundles.key = runs.key AND bundles.place = ? AND bundles.folder = ?"
    runs = {run.key: run for run in index.take(RunRow, join, row.place, row.folder)}
    stored = tuple(StoredRun(runs[bundle.key], bundle) for bundle in bundles if bundle.key in runs)
    return StoredSession(row, stored, tuple(copy.place for copy in copies))


def sessions_named(index: Index, name: str) -> list[StoredSession]:
    """Of that name or folder, else those whose name begins so; the newest first."""
    exact = index.take(SessionRow, "WHERE name = ? OR folder = ?", name, name)
    begun = exact or [row for row in index.take(SessionRow) if name and row.name.startswith(name)]
    found = [session(index, row) for row in begun]
    return sorted(found, key=lambda each: (each.started, not each.row.place), reverse=True)


def runs_named(index: Index, name: str) -> list[RunRow]:
    """Runs of that id or beginning of one, the newest first; without those in which nothing was tried."""
    if not name:
        return []
    last = name + chr(0x10FFFF)
    return index.take(RunRow, "WHERE run >= ? AND run < ? ORDER BY started DESC, run LIMIT 1000", name, last)


def facts(index: Index, run: RunRow) -> Facts:
    """A run with the place of its bundle, its kernel and its host."""
    (bundle, *_) = index.take(BundleRow, "WHERE key = ? ORDER BY place, folder, name", run.key)
    (kernel,) = index.take(KernelRow, "WHERE key = ?", run.kernel)
    (host,) = index.take(HostRow, "WHERE key = ?", run.host)
    return Facts(StoredRun(run, bundle), kernel, host)


def words(runs: Iterable[RunRow]) -> str:
    """`2 FAIL, 14 PASS`, worst first."""
    counted = Counter(run.word for run in runs)
    return ", ".join(f"{counted[word]} {word}" for word in Word if counted[word])


def kernels_of(index: Index, runs: Iterable[RunRow]) -> tuple[str, ...]:
    """Names of the kernels of some runs."""
    keys = dict.fromkeys(run.kernel for run in runs)
    return tuple(dict.fromkeys(row.name for key in keys for row in index.take(KernelRow, "WHERE key = ?", key)))
