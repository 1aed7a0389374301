# SPDX-License-Identifier: GPL-2.0-only
"""What finished sessions taught: how long runs take here, and how much each number of pairs gets done.

A value that the caller keeps in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from lab.plan.matrix import Run

KEPT = 5
"""Measurements remembered of each thing; what counts is their median."""
SESSIONS_KEPT = 100
PAIR = "pair"
"""Stands for a case in the key of how long it takes until a run has a fresh pair."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Rate:
    """What one session got done with so many pairs at once.

    work  expected seconds of its runs (Case.seconds) for each second of wall time; what is lost counts against it
    lost  runs that were lost: MISS, or an ERROR that was not predicted
    """

    __pydantic_config__ = STRICT

    work: Annotated[float, Field(allow_inf_nan=False)]
    lost: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Learnt:
    """durations  seconds of the last runs by `duration_key`, without those of making a pair
    rates      the last sessions by host shape (`host_key`) and number of pairs
    sessions   names of the last sessions learnt from, so that none teaches twice
    """

    __pydantic_config__ = STRICT

    durations: Mapping[str, tuple[Seconds, ...]] = field(default_factory=dict)
    rates: Mapping[str, Mapping[int, tuple[Rate, ...]]] = field(default_factory=dict)
    sessions: tuple[str, ...] = ()

    def seconds(self, run: Run, kind: str, way: str) -> float:
        """How long a run is expected to take: the median of what was measured, else what its case says."""
        measured = self.durations.get(duration_key(run.case, run.nic, kind, way), ())
        return median(measured) if measured else run.seconds

    def has_measured(self, run: Run, kind: str, way: str) -> bool:
        """Whether runs like this one were measured."""
        return bool(self.durations.get(duration_key(run.case, run.nic, kind, way)))

    def pair_seconds(self, run: Run, kind: str, way: str, otherwise: float) -> float:
        """How long it is expected to take to make a pair for a run; `otherwise` where none was seen being made."""
        measured = self.durations.get(duration_key(PAIR, run.nic, kind, way), ())
        return median(measured) if measured else otherwise


@dataclass(frozen=True)
class Lesson:
    """What one session teaches. `rate` is None where it is too small, or was not finished, to say anything."""

    session: str
    host: str
    pairs: int
    durations: tuple[tuple[str, float], ...]
    rate: Rate | None


def way_of(accelerator: str, *, cold: bool) -> str:
    """How pairs come about: booted ones share a pair among runs, restored ones do not."""
    return f"{accelerator}, cold" if cold else accelerator


def way_on(way: str, host: str) -> str:
    """The same on another host, by its name in a list of hosts; "" is this one."""
    return f"{way} on {host}" if host else way


def duration_key(case: str, nic: str, kind: str, way: str) -> str:
    return f"{case}/{nic}/{kind}/{way}"


def kernel_kind(base: str, fragments: Iterable[str]) -> str:
    """What about a kernel decides how fast it is here: who built it, and with which fragments."""
    return "+".join(("built" if base else "given", *sorted(fragments)))


def host_key(cpus: int, total_mib: int, way: str, qemu: str) -> str:
    """A host's shape. Memory in whole GiB: what firmware and kernel take of it varies."""
    return f"{cpus} CPUs, {round(total_mib / 1024)} GiB, {way}, QEMU {qemu}"


def learn(known: Learnt, lesson: Lesson) -> Learnt:
    """What is known after one more session; the same when it was learnt from before."""
    if lesson.session in known.sessions:
        return known
    durations = dict(known.durations)
    for key, seconds in lesson.durations:
        durations[key] = (*durations.get(key, ()), seconds)[-KEPT:]
    rates = {host: dict(counts) for host, counts in known.rates.items()}
    if lesson.rate is not None:
        counts = rates.setdefault(lesson.host, {})
        counts[lesson.pairs] = (*counts.get(lesson.pairs, ()), lesson.rate)[-KEPT:]
    sessions = (*known.sessions, lesson.session)[-SESSIONS_KEPT:]
    return replace(known, durations=durations, rates=rates, sessions=sessions)


_ADAPTER: TypeAdapter[Learnt] = TypeAdapter(Learnt)


def as_record(known: Learnt) -> dict[str, Any]:
    """As it is written down."""
    record: dict[str, Any] = _ADAPTER.dump_python(known, mode="json")
    return record


def as_learnt(record: Mapping[str, Any]) -> Learnt:
    """What was written. Raises pydantic.ValidationError, which is a ValueError, for anything else."""
    return _ADAPTER.validate_python(record)
