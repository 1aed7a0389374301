# SPDX-License-Identifier: GPL-2.0-only
"""The ground a verdict stands on, whatever was run: the kernels lived, the lab worked, nothing was altered.

What is asked here is asked of consoles, telemetry and incidents alone, whatever the guests were booted for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.contracts import MANIFEST
from lab.evidence.model import Evidence, Grade, GuestEvidence, Splat
from lab.plan.limits import ran_ahead
from lab.verdict import taint
from lab.verdict.measure import failed, missed, passed, unclear
from lab.verdict.model import Finding, Word

if TYPE_CHECKING:
    from lab.evidence.manifest import Incident

TIMED = frozenset(
    {"soft-lockup", "hard-lockup", "workqueue-lockup", "csd-lockup", "hung-task", "rcu-stall", "netdev-watchdog"}
)
"""Faults a kernel sees by its clock alone."""

LOCKED_UP = "L"
"""The taint that one of them leaves."""


@dataclass(frozen=True)
class Ground:
    """What these rules look at.

    record    the file of the bundle that tells of incidents
    format    that of the record
    host_s    seconds of the host's clock in which the guests' telemetry was kept; None where nobody noted them
    altered   paths of files whose bytes are not those the record vouches for
    problems  files that are absent, altered or unreadable, as sentences that begin with the path
    tainted   by role, what /proc/sys/kernel/tainted said, oldest first; empty where it was not asked
    """

    record: str
    format: int
    guests: tuple[GuestEvidence, ...]
    incidents: tuple[Incident, ...]
    host_s: float | None
    altered: frozenset[str]
    problems: tuple[str, ...]
    tainted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def of_run(evidence: Evidence) -> Ground:
    """That of a run."""
    manifest = evidence.manifest
    guests = (evidence.receiver, evidence.sender) if evidence.sender else (evidence.receiver,)
    return Ground(
        MANIFEST,
        manifest.format,
        guests,
        manifest.incidents,
        manifest.seconds.drive,
        evidence.altered,
        evidence.problems,
        {guest.role: _taints(guest) for guest in guests},
    )


def _taints(guest: GuestEvidence) -> tuple[int, ...]:
    return tuple(s.tainted for s in (*guest.samples, *guest.checkpoints) if s.tainted is not None)


# -- the kernels lived -----------------------------------------------------------------------------------------------


def kernel_alive(ground: Ground) -> list[Finding]:
    """Neither kernel faulted: no oops, panic, warning, lock-up or unexplained trace on a console, no taint that no
    line of it explains, and no hang."""
    return [*_splats(ground), *tainted(ground), *_hangs(ground)] or [_quiet(ground)]


def _splats(ground: Ground) -> Iterator[Finding]:
    for guest in ground.guests:
        for splat in guest.console.splats:
            if splat.grade is not Grade.TOLD:
                yield about_splat(ground, guest, splat, guest.console.path)


def about_splat(ground: Ground, guest: GuestEvidence, splat: Splat, path: str) -> Finding:
    """What a report of a guest's kernel in that file means."""
    rule, pointer = "kernel-alive", f"{path}:{splat.line}"
    if path in ground.altered:
        return unclear(rule, f"{splat.title} stands in an altered console", pointer)
    if splat.grade is Grade.UNEXPLAINED:
        return unclear(rule, f"the {guest.role}'s console shows what no report explains: {splat.title}", pointer)
    if splat.kind in TIMED and is_frozen(ground, guest.role):
        return missed(rule, f"the host kept the {guest.role} from running, hence its {splat.kind}", pointer)
    if splat.kind in TIMED and times_too_fast(ground, guest):
        return missed(rule, f"the {guest.role}'s clock ran too fast for its {splat.kind}", pointer)
    return failed(rule, f"the {guest.role}'s kernel: {splat.kind}: {splat.title}", pointer)


def tainted(ground: Ground) -> Iterator[Finding]:
    """The second witness of a fault: it speaks where the console was silenced, lost or not understood."""
    for guest in ground.guests:
        told = any(splat.grade is Grade.FAULT for splat in guest.console.splats)
        for flag in taint.flags(taint.merged(ground.tainted.get(guest.role, ()))) if not told else ():
            message = (
                f"the {guest.role}'s kernel is tainted {flag.letter} ({flag.meaning}), and its console does not say why"
            )
            timed = flag.letter == LOCKED_UP and (is_frozen(ground, guest.role) or times_too_fast(ground, guest))
            word = Word.MISS if timed else flag.word or Word.ERROR
            yield Finding("kernel-alive", word, message, f"{guest.role}/telemetry.jsonl")


def _hangs(ground: Ground) -> Iterator[Finding]:
    for incident in ground.incidents:
        if incident.kind == "hang":
            yield failed("kernel-alive", f"the {incident.guest}'s kernel hung: {incident.detail}", ground.record)


def _quiet(ground: Ground) -> Finding:
    lines = " and ".join(f"{g.console.lines} of the {g.role}" for g in ground.guests)
    told = [f"the {g.role} mentions {s.kind}: {s.title}" for g in ground.guests for s in g.console.splats]
    pointer = ground.guests[0].console.path if ground.guests else ground.record
    return passed("kernel-alive", "; ".join([f"no fault in the console's lines: {lines}", *told]), pointer)


# -- the lab worked --------------------------------------------------------------------------------------------------


def lab_trouble(ground: Ground) -> Iterator[Finding]:
    """Incidents, and clocks that ran too fast; nothing where the lab worked."""
    yield from _incidents(ground)
    yield from _fast_clocks(ground)


def _incidents(ground: Ground) -> Iterator[Finding]:
    """A hang is the kernel's. A guest that said more than a channel may carry has shown nothing."""
    for incident in ground.incidents:
        where = f" on the {incident.guest}" if incident.guest else ""
        message = f"{incident.kind}{where}: {incident.detail}"
        if incident.kind == "flood":
            yield unclear("lab-alive", message, ground.record)
        elif incident.kind != "hang":
            yield missed("lab-alive", message, ground.record)


def is_frozen(ground: Ground, role: str) -> bool:
    """Whether the host kept this guest, or one nobody named, from running."""
    return any(i.kind == "frozen" and i.guest in (role, "") for i in ground.incidents)


def _fast_clocks(ground: Ground) -> Iterator[Finding]:
    for guest in ground.guests:
        if times := times_too_fast(ground, guest):
            message = f"the {guest.role}'s clock ran {times:.1f} times too fast: it says nothing of rates and silences"
            yield missed("lab-alive", message, f"{guest.role}/telemetry.jsonl")


def times_too_fast(ground: Ground, guest: GuestEvidence) -> float:
    """0 for a clock that kept time. Telemetry spans the same steps as the host's clock.

    On a busy host a guest can take its TSC for several times slower than it is: an interruption while the kernel
    calibrates against the PIT, which it then believes more than the HPET.
    Where there was an incident, the lab may have waited between the last step and the end of telemetry.
    """
    samples = guest.samples
    if ground.host_s is None or ground.incidents or not samples:
        return 0.0
    return ran_ahead(samples[-1].t - samples[0].t, ground.host_s)


# -- the evidence is whole -------------------------------------------------------------------------------------------


def damage(ground: Ground) -> Iterator[Finding]:
    """Files that are absent, altered, cut or beyond what is read of them; nothing where all is whole."""
    for problem in ground.problems:
        yield unclear("complete", problem, problem.partition(":")[0])
    for guest in ground.guests:
        if guest.console.bound:
            yield unclear("complete", guest.console.bound, guest.console.path)
        if guest.truncated:
            pointer = f"{guest.role}/telemetry.jsonl"
            yield unclear("complete", f"telemetry or checkpoints of the {guest.role} cannot be read whole", pointer)
