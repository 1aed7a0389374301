# SPDX-License-Identifier: GPL-2.0-only
"""What finished sessions taught, kept in the cache; see lab.plan.learnt."""

from __future__ import annotations

from pathlib import Path

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
    with locked(learnt_file(), progress=progress):
        write_record(learnt_file(), as_record(learn(load_learnt(), lesson_of(plan, session))))


def lesson_of(plan: SessionPlan, session: Session) -> Lesson:
    """What a session teaches: how long its sound runs took; what it got done, if it was finished and large enough."""
    sound = [result for result in session.results if _counts(result) and not is_lost(result)]
    way = way_of(plan.accelerator, cold=plan.cold)
    durations = [(_key(result, result.manifest.case, way), _seconds(result)) for result in sound]
    pairs = [(_key(r, PAIR, way), r.manifest.seconds.provision) for r in sound if not r.manifest.pair.runs_before]
    return Lesson(session.name, plan.host, plan.pairs, (*durations, *pairs), _rate(plan, session))


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
