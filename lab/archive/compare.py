# SPDX-License-Identifier: GPL-2.0-only
"""What became of each cell between two sets of runs. A pure function of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.archive.rows import RunRow
from lab.stats.flaky import WINDOW, Outcome, is_flaky
from lab.stats.numbers import Moved, moved
from lab.stats.rates import ALPHA, at_least, at_most, interval, runs_needed
from lab.units import MIB
from lab.verdict.model import Word

SPEAK = frozenset({Word.PASS, Word.FAIL, Word.DONE})
"""Words that say something of a kernel. All else is trouble of the lab or a test that did not reach its path."""
LEAST_ESCAPE = MIB
"""An escape that moved less is within a page batch of each CPU and what rounds it."""
LEAST_COST = 0.005


class Kind(StrEnum):
    """What became of a cell, worst first."""

    NEW_FAIL = "new fail"
    NO_VERDICT = "no verdict"
    MOVED = "number moved"
    GONE = "gone"
    FLAKY = "flaky"
    STILL = "still failing"
    FIXED = "fixed"
    NEW = "new"
    SAME = "same"


NEWS = (Kind.NEW_FAIL, Kind.NO_VERDICT, Kind.MOVED, Kind.GONE)
"""What got worse, whatever it was before."""


@dataclass(frozen=True)
class Tally:
    """One side of a cell. `silent` runs said nothing of the kernel."""

    failed: int
    runs: int
    silent: int

    @classmethod
    def of(cls, runs: Iterable[RunRow]) -> Tally:
        told = list(runs)
        speaking = [run for run in told if run.word in SPEAK]
        return cls(sum(failed(run) for run in speaking), len(speaking), len(told) - len(speaking))

    def __str__(self) -> str:
        """`35:200`, as kernel CI writes it: failures of runs."""
        beside = f" (+{self.silent} without a verdict)" if self.silent else ""
        return f"{self.failed or ''}:{self.runs}{beside}"

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.failed, self.runs)


@dataclass(frozen=True)
class Change:
    """A cell, what became of it, and what that rests on.

    likely   how likely such runs were if nothing had changed; None where that was not asked
    needed   further runs of the same word that would make it sure; 0 when it is
    witness  the run to look at;  first  the first of these runs that said the same
    other    the last run before them that said something else, else the last there was
    number   what moved, and how
    fresh    a flaky cell that was not so before these runs
    known    issues that excuse it, a line each
    """

    cell: str
    kind: Kind
    before: Tally
    after: Tally
    likely: float | None = None
    needed: int = 0
    witness: RunRow | None = None
    number: tuple[str, Moved] | None = None
    fresh: bool = False
    first: RunRow | None = None
    other: RunRow | None = None
    known: tuple[str, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether it got worse, and nobody knew: what a script is told of by its exit status."""
        return (self.kind in NEWS or self.fresh) and not self.known


def failed(run: RunRow) -> bool:
    return run.word == Word.FAIL


def in_order(runs: Iterable[RunRow]) -> list[RunRow]:
    return sorted(runs, key=lambda run: (run.started, run.key))


def compare(
    before: Sequence[RunRow],
    after: Sequence[RunRow],
    history: Callable[[str, str], Sequence[RunRow]],
    escapes: Callable[[str], bool] = lambda _: True,
    key: Callable[[RunRow], str] | None = None,
) -> list[Change]:
    """All cells of both sides, worst first.

    history  the last runs of a cell before a time, as many as WINDOW at least
    escapes  whether a case is about an escape
    key      what is compared, where the caller knows better than `_key`
    """
    key = key or _key(before, after)
    old, new = _by(before, key), _by(after, key)
    changes = [
        change_of(cell, old.get(cell, ()), new.get(cell, ()), _past(history, old, new, cell), escapes)
        for cell in sorted({*old, *new})
    ]
    return worst_first(changes)


def worst_first(changes: Iterable[Change]) -> list[Change]:
    order = list(Kind)
    return sorted(changes, key=lambda change: (order.index(change.kind), change.cell))


def _key(before: Sequence[RunRow], after: Sequence[RunRow]) -> Callable[[RunRow], str]:
    """Cells, but for what tells the two sides apart: where each is one design of one line, those are compared."""

    def rest(run: RunRow) -> str:
        return run.cell.removeprefix(f"{run.case_name}/{run.nic}/")

    if len({rest(run) for run in before}) == 1 == len({rest(run) for run in after}):
        return lambda run: f"{run.case_name}/{run.nic}"
    return lambda run: run.cell


def _by(runs: Iterable[RunRow], key: Callable[[RunRow], str]) -> Mapping[str, Sequence[RunRow]]:
    found: dict[str, list[RunRow]] = defaultdict(list)
    for run in in_order(runs):
        found[key(run)].append(run)
    return found


def _past(
    history: Callable[[str, str], Sequence[RunRow]],
    old: Mapping[str, Sequence[RunRow]],
    new: Mapping[str, Sequence[RunRow]],
    cell: str,
) -> list[RunRow]:
    """What the cell said before the runs that are looked at, those it is compared with among it."""
    mine = {run.key for run in new.get(cell, ())}
    first = min((run.started for run in new.get(cell, ())), default="~")
    cells = {run.cell for run in old.get(cell, ())}
    told = {run.key: run for name in cells for run in history(name, first) if run.started < first}
    told |= {run.key: run for run in old.get(cell, ())}
    return [run for run in in_order(told.values()) if run.key not in mine and run.word in SPEAK][-WINDOW:]


def change_of(
    cell: str,
    old: Sequence[RunRow],
    new: Sequence[RunRow],
    past: Sequence[RunRow],
    escapes: Callable[[str], bool] = lambda _: True,
) -> Change:
    """What became of one cell between `old` runs and `new` ones; `past` are all that spoke before those."""
    change = _change(cell, old, new, past, escapes)
    told = change.witness
    if told is None:
        return change
    first = next((run for run in new if _says(run) == _says(told)), None)
    others = [run for run in (*past, *old) if _says(run) != _says(told)]
    last = max(others or past or old, key=lambda run: (run.started, run.key), default=None)
    return replace(change, first=first, other=last)


def _says(run: RunRow) -> tuple[str, int]:
    return run.word, run.fault


def _change(
    cell: str, old: Sequence[RunRow], new: Sequence[RunRow], past: Sequence[RunRow], escapes: Callable[[str], bool]
) -> Change:
    before, after = Tally.of(old), Tally.of(new)
    if not old:
        return Change(cell, Kind.NEW, before, after, witness=new[-1])
    if not new:
        return Change(cell, Kind.GONE, before, after, witness=old[-1])
    speaking = [run for run in new if run.word in SPEAK]
    if not speaking:
        return Change(cell, Kind.NO_VERDICT if before.runs else Kind.SAME, before, after, witness=new[-1])
    if not past:
        return Change(cell, Kind.NEW, before, after, witness=new[-1])
    told = _faults(cell, before, after, past, speaking) or _words(cell, before, after, past, speaking)
    return told or _numbers(cell, before, after, past, speaking, escapes)


def _faults(cell: str, before: Tally, after: Tally, past: Sequence[RunRow], new: Sequence[RunRow]) -> Change | None:
    """A kernel that faults where none did is news, also where the case fails as it always did."""
    found = [run for run in new if run.fault]
    if not found or any(run.fault for run in past):
        return None
    likely = at_least(len(found), len(new), (0, len(past)))
    needed = 0 if likely < ALPHA else max(1, runs_needed((0, len(past)), failing=True) - len(found))
    return Change(cell, Kind.NEW_FAIL, before, after, likely, needed, found[-1])


def _words(cell: str, before: Tally, after: Tally, past: Sequence[RunRow], new: Sequence[RunRow]) -> Change | None:
    """What the words say; None when they are what they were."""
    flaky = is_flaky([*map(outcome, past), *map(outcome, new)])
    fresh = flaky and not is_flaky([*map(outcome, past)])
    told = (sum(map(failed, past)), len(past))
    failing = failed(past[-1]) if not before.runs else before.failed * 2 > before.runs
    turned = [run for run in new if failed(run) != failing]
    if not turned:
        return Change(cell, Kind.FLAKY, before, after, witness=new[-1]) if flaky and after.failed else None
    steady = _since(past, failing=failing) if not flaky else told
    likely = (at_most if failing else at_least)(after.failed, after.runs, steady)
    if flaky and likely >= ALPHA:
        return Change(cell, Kind.FLAKY, before, after, likely, witness=turned[-1], fresh=fresh)
    needed = 0 if likely < ALPHA else max(1, runs_needed(steady, failing=not failing) - len(turned))
    if failing and after.failed:  # some passed, some did not: nobody has mended it
        return Change(
            cell, Kind.STILL, before, after, likely, witness=next(run for run in reversed(new) if failed(run))
        )
    kind = Kind.FIXED if failing else Kind.NEW_FAIL
    return Change(cell, kind, before, after, likely, needed, turned[-1])


def _since(past: Sequence[RunRow], *, failing: bool) -> tuple[int, int]:
    """Failures and runs since the cell last changed its word: what came before is another story."""
    steady: list[RunRow] = []
    for run in reversed(past):
        if failed(run) != failing and steady:
            break
        steady.append(run)
    return sum(map(failed, steady)), len(steady)


def _numbers(
    cell: str,
    before: Tally,
    after: Tally,
    past: Sequence[RunRow],
    new: Sequence[RunRow],
    escapes: Callable[[str], bool],
) -> Change:
    """The words are what they were: has a number moved?"""
    alike = [run for run in past if run.word == new[-1].word]
    now = [run for run in new if run.word == new[-1].word]
    asked: list[tuple[str, Callable[[RunRow], float | None], float]] = [("cost", lambda run: run.cost, LEAST_COST)]
    if escapes(new[-1].case_name):
        asked.append(("escape", lambda run: run.escaped, LEAST_ESCAPE))
    for name, number, least in asked:
        then_told = [value for run in alike if (value := number(run)) is not None]
        now_told = [value for run in now if (value := number(run)) is not None]
        if now_told and (found := moved(then_told, now_told, least)):
            return Change(cell, Kind.MOVED, before, after, witness=new[-1], number=(name, found))
    return Change(cell, Kind.STILL if after.failed else Kind.SAME, before, after, witness=new[-1])


def outcome(run: RunRow) -> Outcome:
    """As the rule for flakes takes it: another lab may give another word on the same kernel."""
    return Outcome(failed(run), f"{run.kernel} {run.lab_version}")
