# SPDX-License-Identifier: GPL-2.0-only
"""The ledger: the client's own count and the kernel's, set side by side on the guest's clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lab.evidence.memory import baseline, gone
from lab.evidence.model import CgroupSample, ClientEvent, Evidence, Ledger, LedgerPoint, ProgramLog, Sample
from lab.evidence.names import COUNTED
from lab.plan.case import Line
from lab.units import MIB

if TYPE_CHECKING:
    from lab.evidence.manifest import ClientRecord

NEAR = 0.3
"""Seconds: a sample farther from a client's line says nothing about it. Three telemetry intervals."""

STILL = 2 * MIB
"""What a client at rest may take between two samples: a stream that trickles at the end of memory, and what it keeps
without a line of its own (KEPT of its zc-client.c)."""

LET_GO = frozenset({"released", "done"})

PHASES = frozenset({"ready", "accepted", "holding", "released", "left", "done", "error"})


def build_ledger(evidence: Evidence, subject: str, lines: tuple[Line, ...] = ()) -> Ledger:
    """The ledger of a client, the subject of its case.

    One point for each line of the client that has samples within NEAR on both sides, before its death. `charged` and
    `gone` are interpolated between the two samples: at 100 MB/s half an interval is 5 MB. Another point for each sample
    of a client at rest, where nothing need be interpolated, however fast it came there.
    `last` is taken at the checkpoint `held` if there is one and the client lived. Else it is the point at which the
    client held most, or one of hardly less (STILL) where both sides are known more closely.
    """
    record = client_record(evidence, subject)
    limit = record.limit if record else None
    log = evidence.clients.get(subject)
    start = baseline(evidence)
    if log is None or start is None:
        return Ledger(subject, limit, (), None, tuple(_marks(evidence, log)), lines)
    meter = _Meter(evidence, log, start, lines)
    known = sorted((*meter.points(), *meter.at_rest()), key=lambda k: k.point.t)
    points = tuple(k.point for k in known)
    last = meter.settled() or _most(known)
    return Ledger(subject, limit, points, last, tuple(_marks(evidence, log)), lines)


@dataclass(frozen=True)
class _Known:
    """A point, and by how many bytes the kernel's side moved between the samples that it rests on."""

    point: LedgerPoint
    spread: int


def _most(known: list[_Known]) -> LedgerPoint | None:
    """Of those at which the client held its most, or hardly less, the one at which least moved."""
    most = max((k.point.held for k in known), default=0)
    near = [k for k in known if k.point.held >= most - STILL]
    quiet = min(near, key=lambda k: (k.point.moving + k.spread, -k.point.held), default=None)
    return quiet.point if quiet else None


def client_record(evidence: Evidence, name: str) -> ClientRecord | None:
    """The manifest's row of a client."""
    return next((c for c in evidence.manifest.clients if c.name == name), None)


def counted(log: ProgramLog) -> tuple[ClientEvent, ...]:
    """The lines of a client that carry its counters."""
    return tuple(e for e in log.events if e.event in COUNTED)


def state_at(log: ProgramLog, t: float) -> ClientEvent | None:
    """The last line with counters at or before t; what the client was keeping then, by its own count."""
    return next((e for e in reversed(log.events) if e.t <= t and e.event in COUNTED), None)


def keeps(event: ClientEvent) -> int:
    """Bytes kept from everybody else: pages, anonymous memory, and what a reader that never reads leaves queued."""
    return event.count("held") + event.count("queued")


def bracket(samples: tuple[Sample, ...], t: float, near: float = NEAR) -> tuple[Sample, Sample] | None:
    """The samples just before and just after t (one and the same when it fell on t), None when either is not near."""
    before, after = bisect_right(samples, t, key=_time) - 1, bisect_left(samples, t, key=_time)
    if before < 0 or after >= len(samples):
        return None
    low, high = samples[before], samples[after]
    return (low, high) if t - low.t <= near and high.t - t <= near else None


def _time(sample: Sample) -> float:
    return sample.t


def kills_seen(sample: Sample, name: str) -> int:
    """`oom_kill` of a cgroup's memory.events; 0 while it does not exist."""
    group = sample.cgroups.get(name)
    return group.events.get("oom_kill", 0) if group else 0


def living(evidence: Evidence, name: str) -> tuple[Sample, ...]:
    """The samples of the guest under test up to the first that shows an OOM kill in the cgroup of that name; up to the
    client's last line where the lab killed it."""
    samples, record, log = evidence.tested.samples, client_record(evidence, name), evidence.clients.get(name)
    if record is not None and record.killed and log is not None and log.events:
        samples = tuple(s for s in samples if _lived(s, name, log.events[-1].t))
    dead = next((i for i, s in enumerate(samples) if kills_seen(s, name)), len(samples))
    return samples[:dead]


def _lived(sample: Sample, name: str, last: float) -> bool:
    group = sample.cgroups.get(name)
    return sample.t <= last or (group is not None and group.procs > 0)


class _Meter:
    """What one client's cgroup and the guest's free memory say at a moment."""

    def __init__(self, evidence: Evidence, log: ProgramLog, start: Sample, lines: tuple[Line, ...]) -> None:
        self._evidence, self._log, self._start, self._lines = evidence, log, start, lines
        self._samples = living(evidence, log.name)
        self._base = self._charge_before()

    def _charge_before(self) -> CgroupSample | None:
        """The cgroup before the client spoke; None when it was first seen later, with the client's memory in it."""
        first = self._log.events[0].t if self._log.events else 0.0
        groups = (s.cgroups.get(self._log.name) for s in (self._start, *self._samples) if s.t <= first)
        return next((g for g in groups if g), None)

    def points(self) -> Iterator[_Known]:
        """At its lines; not when it is done, for it goes as it says so, and what it kept goes with it."""
        events = counted(self._log)
        for i, event in enumerate(events):
            around = bracket(self._samples, event.t)
            if around and event.event != "done":
                low, high = around
                moving = max(_moving(events, i), moved(self._log, low.t, high.t) or 0)
                yield _Known(self._point(event, event.t, around, moving), abs(gone(high, low)))

    def at_rest(self) -> Iterator[_Known]:
        """Samples between which the client took next to nothing. One is read a little after the time it bears, so that
        what came until the next one counts as well."""
        for sample, after in pairwise(self._samples):
            event = state_at(self._log, sample.t)
            moving = moved(self._log, sample.t, after.t) if event and event.event not in LET_GO else None
            if event and keeps(event) and moving is not None and moving <= STILL:
                yield _Known(self._point(event, sample.t, (sample, sample), moving), abs(gone(after, sample)))

    def settled(self) -> LedgerPoint | None:
        """The point at the checkpoint `held`, None when there is none or the client was dead by then."""
        held = self._evidence.tested.checkpoint("held")
        event = state_at(self._log, held.t) if held else None
        if held is None or event is None or self._log.name not in held.cgroups or kills_seen(held, self._log.name):
            return None
        events = counted(self._log)
        moving = _moving(events, events.index(event)) if event.event in ("accepted", "progress") else 0
        return self._point(event, held.t, (held, held), moving)

    def _point(self, event: ClientEvent, t: float, around: tuple[Sample, Sample], moving: int) -> LedgerPoint:
        low, high = around
        share = 0.0 if high.t == low.t else (t - low.t) / (high.t - low.t)
        return LedgerPoint(
            t,
            counts={line.name: event.count(line.name) for line in self._lines},
            held=keeps(event),
            charged=_between(self._charged(low), self._charged(high), share),
            gone=_between(gone(low, self._start), gone(high, self._start), share),
            moving=moving,
        )

    def _charged(self, sample: Sample) -> int:
        group = sample.cgroups.get(self._log.name)
        if group is None:
            return 0
        same = self._base and self._base.ino == group.ino
        return group.current - (self._base.current if self._base and same else 0)


def _between(low: int, high: int, share: float) -> int:
    return round(low + (high - low) * share)


def _moving(events: tuple[ClientEvent, ...], i: int) -> int:
    """How far `held` moved to the line before and to the line after, whichever is more."""
    neighbours = [*events[max(0, i - 1) : i], *events[i + 1 : i + 2]]
    return max((abs(keeps(n) - keeps(events[i])) for n in neighbours), default=0)


def moved(log: ProgramLog, start: float, end: float) -> int | None:
    """How far what a client keeps may have moved between two moments: by its lines from the last before them to the
    first after them. None when it let go in between; what it says when it lets go later is no move of before."""
    events = counted(log)
    first = max((i for i, e in enumerate(events) if e.t <= start), default=0)
    last = next((i for i, e in enumerate(events) if e.t >= end), len(events) - 1)
    span = events[first : last + 1]
    if span and span[-1].event in LET_GO and span[-1].t >= end:
        span = span[:-1]
    if any(e.event in LET_GO for e in span):
        return None
    return max(map(keeps, span), default=0) - min(map(keeps, span), default=0)


def _marks(evidence: Evidence, log: ProgramLog | None) -> list[tuple[float, str]]:
    """What happened when, for the reader of the curve; in order of time."""
    marks = [(e.t, e.event) for e in log.events if e.event in PHASES] if log else []
    marks += [(c.t, f"checkpoint {c.name}") for c in evidence.tested.checkpoints]
    for before, after in pairwise(evidence.tested.samples):
        marks += [(after.t, f"oom kill in {n}") for n in after.cgroups if kills_seen(after, n) > kills_seen(before, n)]
        if after.vmstat.get("oom_kill", 0) > before.vmstat.get("oom_kill", 0):
            marks.append((after.t, "oom kill"))
    return sorted(marks)
