# SPDX-License-Identifier: GPL-2.0-only
"""What a nightly has told of each track, and what tonight's runs add to it: whether to run it again, whether to tell.

A track is a case on a NIC profile of one target, whatever its kernel is called tonight. What counts is not what the
night before said, but what was told: a failure that nobody could make sure of yesterday is no old failure today. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lab.archive.compare import SPEAK, Change, Kind, change_of, failed
from lab.archive.rows import RunRow
from lab.stats.flaky import WINDOW
from lab.stats.numbers import moved
from lab.stats.rates import ALPHA, at_least
from lab.stats.repeats import confirming, decisive, silence
from lab.verdict.model import Word

LOOKS = 1000
"""Numbers that are looked at in a night or two of a large nightly."""


class Told(StrEnum):
    """What was told of a track last."""

    PASSES = "passes"
    FAILS = "fails"
    FLAKY = "flaky"


@dataclass(frozen=True)
class Standing:
    """What was told of a track.

    since    when the first of the runs began that said so; those are what new runs are compared with
    silent   that it gives no verdict was told;  excused  it was not told because it was a known issue
    numbers  means that were told as moved, by name
    pending  when the first run began that said something else, where nobody could make sure of it yet
    """

    told: Told
    since: str = ""
    silent: bool = False
    excused: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)
    pending: str = ""


@dataclass(frozen=True)
class Seen:
    """A track after tonight's runs.

    again    further runs that would decide something
    news     whether it is to be told;  back  whether it gives a verdict again, which was told to be lost
    standing what is told of it once that has been told
    """

    change: Change
    again: int
    news: bool
    back: bool
    standing: Standing


def interrupted(run: RunRow) -> bool:
    """Whether it was ended from outside: nobody's trouble, and to be run again."""
    return run.word == Word.MISS and "interrupted" in run.incidents.split()


def looked_at(
    track: str,
    past: Sequence[RunRow],
    tonight: Sequence[RunRow],
    standing: Standing | None,
    *,
    escapes: Callable[[str], bool] = lambda _: True,
    known: Callable[[Change], Change] = lambda change: change,
) -> Seen:
    """A track of which there are runs tonight. `past` are all of its runs before these; `known` adds known issues."""
    spoke = [run for run in past if run.word in SPEAK][-WINDOW:]
    standing = standing or _derived(spoke)
    old = [run for run in past if run.started >= standing.since] if standing.told is not Told.FLAKY else past[-WINDOW:]
    change = known(_broken(track, spoke, tonight, standing) or change_of(track, old, tonight, spoke, escapes))
    if change.kind is Kind.MOVED:
        change = _confirmed(change, spoke, tonight, standing)
    again = _again(change, spoke, tonight)
    return _decided(change, again, standing, tonight)


def _broken(track: str, spoke: Sequence[RunRow], tonight: Sequence[RunRow], standing: Standing) -> Change | None:
    """A flaky track that fails always now: one run a night says nothing of that, all since it passed last do.

    It is looked at every night where they begin, so they have to be less likely than what is looked at once.
    """
    speaking = [run for run in tonight if run.word in SPEAK]
    if standing.told is not Told.FLAKY or not speaking or not all(map(failed, speaking)):
        return None
    begin = next((at for at in range(len(spoke), 0, -1) if not failed(spoke[at - 1])), 0)
    before, since = spoke[:begin], [*spoke[begin:], *tonight]
    runs = sum(run.word in SPEAK for run in since)
    if not before or at_least(runs, runs, (sum(map(failed, before)), len(before))) >= ALPHA / 10:
        return None
    change = change_of(track, before, since, before)
    return change if change.kind is Kind.NEW_FAIL else None


def _derived(spoke: Sequence[RunRow]) -> Standing:
    """Where nothing was told, or is known of what was: the last word, and since when it has been that."""
    if not spoke:
        return Standing(Told.PASSES)
    since = spoke[-1]
    for run in reversed(spoke):
        if failed(run) != failed(spoke[-1]):
            break
        since = run
    return Standing(Told.FAILS if failed(since) else Told.PASSES, since.started)


def _again(change: Change, spoke: Sequence[RunRow], tonight: Sequence[RunRow]) -> int:
    """Further runs of a track that are worth their time."""
    speaking = [run for run in tonight if run.word in SPEAK]
    silent = change.kind is Kind.NEW and not speaking and tonight[-1].word != Word.SKIP
    if change.kind is Kind.NO_VERDICT or silent:
        return max(0, silence(0, len(spoke)) - len(tonight))
    if change.kind is Kind.MOVED:
        return max(0, 1 + confirming(LOOKS) - len(speaking))
    if not change.needed:
        return 0
    if len({failed(run) for run in speaking}) == 1:
        return change.needed
    failing = change.kind is Kind.NEW_FAIL
    steady = [run for run in spoke if failed(run) != failing]
    before = (sum(map(failed, steady)), len(steady))
    return max(0, decisive(before, failing=failing) - len(speaking))


def _confirmed(change: Change, spoke: Sequence[RunRow], tonight: Sequence[RunRow], standing: Standing) -> Change:
    """A number that moved, seen to do so again; one that was told to be where it is now has not moved."""
    assert change.number is not None  # noqa: S101 - that is what its kind says
    name, number = change.number
    half = (number.high - number.low) / 2
    same = replace(change, kind=Kind.STILL if change.after.failed else Kind.SAME)
    if name in standing.numbers and abs(standing.numbers[name] - number.now) <= half:
        return same

    def values(runs: Sequence[RunRow]) -> list[float]:
        alike = [run for run in runs if run.word == tonight[-1].word]
        told = [run.cost if name == "cost" else run.escaped for run in alike]
        return [float(value) for value in told if value is not None]

    further = values(tonight)[1:]
    return same if further and moved(values(spoke), further, 0.0) is None else change


def _decided(change: Change, again: int, standing: Standing, tonight: Sequence[RunRow]) -> Seen:
    run = change.witness
    assert run is not None  # noqa: S101 - there are runs tonight
    spoke = change.after.runs > 0
    back = standing.silent and spoke
    now = replace(standing, silent=standing.silent and not spoke)
    begun = change.first.started if change.first else run.started
    sure = not change.needed or bool(run.fault and change.kind is Kind.NEW_FAIL)  # one oops is an oops
    if again and not sure:  # an open question is asked again the next night, with these runs
        return Seen(change, again, False, back, replace(now, pending=standing.pending or tonight[0].started))
    now = replace(now, pending="")
    excused = bool(change.known)
    match change.kind:
        case Kind.NEW_FAIL if sure:
            return Seen(change, again, not excused, back, Standing(Told.FAILS, begun, excused=excused))
        case Kind.FIXED if sure:
            return Seen(change, again, not standing.excused, back, Standing(Told.PASSES, begun))
        case Kind.FLAKY if standing.told is Told.FAILS and change.after.failed == change.after.runs:
            return Seen(change, again, False, back, now)  # it was flaky once, and was told to fail since
        case Kind.FLAKY:
            fresh = standing.told is not Told.FLAKY
            return Seen(replace(change, fresh=fresh), again, fresh and not excused, back, replace(now, told=Told.FLAKY))
        case Kind.NO_VERDICT:
            news = not standing.silent and not again and not excused
            return Seen(change, again, news, back, replace(now, silent=not again))
        case Kind.MOVED if change.number is not None:
            numbers = {**now.numbers, change.number[0]: change.number[1].now}
            return Seen(change, again, not again, back, now if again else replace(now, numbers=numbers))
        case Kind.NEW:
            return _new(change, run, now, again)
        case _:
            unexcused = standing.excused and bool(change.after.failed) and not excused
            return Seen(change, again, unexcused, back, _settled(now, change, excused=excused))


def _new(change: Change, run: RunRow, now: Standing, again: int) -> Seen:
    """The first runs of a track are news where they are not as predicted, or say nothing."""
    if run.word not in SPEAK:
        silent = run.word != Word.SKIP and not again
        return Seen(change, again, silent and not change.known, False, replace(now, silent=silent))
    fails = failed(run)
    surprise = bool(run.surprise and fails) or bool(run.fault)
    told = Standing(Told.FAILS if fails else Told.PASSES, change.first.started if change.first else run.started)
    return Seen(change, 0, surprise and not change.known, False, replace(told, excused=bool(change.known)))


def _settled(now: Standing, change: Change, *, excused: bool) -> Standing:
    """A track of which nothing is new. One that was flaky, and has not failed for as long as anybody looks, passes."""
    now = replace(now, excused=excused and change.after.failed > 0)
    mended = now.told is Told.FLAKY and not change.before.failed and not change.after.failed
    return replace(now, told=Told.PASSES, since="") if mended else now
