# SPDX-License-Identifier: GPL-2.0-only
"""What finished sessions taught, kept in the cache; see lab.plan.learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from lab.contracts import Progress
from lab.experiments.found import all_cases
from lab.host.filecache import locked
from lab.host.paths import cache_root
from lab.host.records import read_record, write_record
from lab.plan.learnt import (
    PAIR,
    Learnt,
    Lesson,
    Rate,
    as_learnt,
    as_record,
    duration_key,
    kernel_kind,
    learn,
    way_of,
    way_on,
)
from lab.plan.session import SessionPlan
from lab.report.model import RunResult, Session
from lab.verdict.model import Word

ENOUGH = 4
"""Runs a pair: a session with fewer says more about how its work was split than about the number of pairs."""


def learnt_file() -> Path:
    return cache_root() / "learnt.json"


def load_learnt() -> Learnt:
    """What is known; nothing where there is no such file, or it cannot be read."""
    return read_record(learnt_file(), as_learnt) or Learnt()


def remember(plan: SessionPlan, session: Session, progress: Progress) -> None:
    """Learn from a session that has ended. Raises OSError when the cache cannot be written."""
    if not session.results:
        return
    _keep(lesson_of(plan, session), progress)


def remember_hosts(
    plan: SessionPlan, results: Mapping[str, RunResult], hosts: Mapping[str, str], progress: Progress
) -> None:
    """Learn how long the runs of a session took on the host that did each. Raises OSError."""
    if results:
        _keep(Lesson(plan.name, plan.host, plan.pairs, _durations(plan, results.values(), hosts), None), progress)


def _keep(lesson: Lesson, progress: Progress) -> None:
    with locked(learnt_file(), progress=progress):
        write_record(learnt_file(), as_record(learn(load_learnt(), lesson)))


def lesson_of(plan: SessionPlan, session: Session) -> Lesson:
    """What a session teaches: how long its sound runs took; what it got done, if it was finished and large enough."""
    return Lesson(session.name, plan.host, plan.pairs, _durations(plan, session.results), _rate(plan, session))


def _durations(
    plan: SessionPlan, results: Iterable[RunResult], hosts: Mapping[str, str] = MappingProxyType({})
) -> tuple[tuple[str, float], ...]:
    """Of sound runs and of pairs made for them. `hosts`: by run, the other host that did it."""
    sound = [result for result in results if _counts(result) and not is_lost(result)]
    way = way_of(plan.accelerator, cold=plan.cold)
    ways = {r.manifest.run: way_on(way, hosts.get(r.manifest.run, "")) for r in sound}
    durations = [(_key(r, r.manifest.case, ways[r.manifest.run]), _seconds(r)) for r in sound]
    fresh = [r for r in sound if not r.manifest.pair.runs_before]
    return (*durations, *((_key(r, PAIR, ways[r.manifest.run]), r.manifest.seconds.provision) for r in fresh))


def is_lost(result: RunResult) -> bool:
    """It has to be run again: the lab failed, or the case did not exercise what it claims, against the prediction."""
    return result.verdict.word in (Word.MISS, Word.ERROR) and not result.as_predicted


def _counts(result: RunResult) -> bool:
    return result.verdict.word is not Word.SKIP and result.manifest.case in all_cases()


def _rate(plan: SessionPlan, session: Session) -> Rate | None:
    counting = [result for result in session.results if _counts(result)]
    stopped = any(i.kind == "interrupted" for result in counting for i in result.manifest.incidents)
    whole = len(session.results) == len(plan.runs) and not stopped and session.seconds > 0 and plan.host
    if not whole or len(counting) < ENOUGH * plan.pairs:
        return None
    # what is lost must be made up for: it is work to be done once more
    work = sum(all_cases()[r.manifest.case].seconds * (-1 if is_lost(r) else 1) for r in counting)
    return Rate(round(work / session.seconds, 4), sum(map(is_lost, counting)))


def _key(result: RunResult, case: str, way: str) -> str:
    manifest = result.manifest
    kind = kernel_kind(manifest.kernel.base, manifest.kernel.fragments)
    return duration_key(case, manifest.nic, kind, way)


def _seconds(result: RunResult) -> float:
    return round(result.manifest.seconds.drive + result.manifest.seconds.collect, 2)
