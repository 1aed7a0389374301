# SPDX-License-Identifier: GPL-2.0-only
"""A run's life on one pair: that is taken, and whatever ends it, evidence is left that says whose fault it was."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

import structlog

from lab.collect.bundle import BundleWriter
from lab.collect.captures import Marks, copy, from_here, from_power_on
from lab.contracts import Progress
from lab.errors import Fault, HostTrouble, LabTrouble
from lab.evidence.manifest import Incident
from lab.evidence.memory import unexplained
from lab.evidence.model import Sample
from lab.evidence.telemetry import parse_checkpoints
from lab.host.interrupt import held_back
from lab.pair.blame import account, check_disk, disk_full, explained
from lab.pair.keeper import PairKeeper
from lab.pair.ready import ReadyPair, Stream, preflight_reached
from lab.pair.timeline import CASE, Timeline
from lab.pair.warm import damaged_state
from lab.plan.limits import Limits
from lab.plan.matrix import Run
from lab.plan.names import ROLES, Role
from lab.plan.nics import dotted
from lab.provision.guest import Guest
from lab.provision.plugin import cannot_count
from lab.provision.sound import unsound
from lab.units import MIB, utc_now
from lab.verdict import taint
from lab.verdict.case import Case
from lab.verdict.predict import inapplicable

CLEAN = 8 * MIB
"""Unexplained memory a run may leave behind before its pair is no longer fit for the next run."""


DEATHS = ("boot", "lost", "hang", "deadline", "host")
"""Incidents that could come of damage to what the guests are made of."""


def may_be_damaged(incidents: Iterable[Incident]) -> bool:
    """Whether damage to what guests are made of may explain one of these."""
    return any(incident.kind in DEATHS for incident in incidents)


class NothingToMeasureError(LabTrouble):
    """The run does not apply here, or its preflight fell below the profile's floor: no traffic is worth sending."""


@dataclass
class Life:
    """One run in progress on one pair, and all that changes while it is. Whoever takes part in it is given it.

    Use it as a `with` block: lab trouble inside ends the block, and is told in the bundle.

    trouble      what kept it from having a pair; raised again by the first step, inside the block
    skip         why it does not apply here; "" when it does
    runs_before  runs that the pair had served
    streams      clients that were started, by name, each with what feeds it;  killed  those that got SIGKILL
    """

    run: Run
    case: Case
    keeper: PairKeeper
    bundle: BundleWriter
    progress: Progress
    limits: Limits = field(default_factory=Limits)
    timeline: Timeline = field(default_factory=Timeline)
    incidents: list[Incident] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"provision": 0.0, "drive": 0.0, "collect": 0.0})
    pair: ReadyPair | None = None
    trouble: LabTrouble | None = None
    runs_before: int = 0
    skip: str = ""
    streams: dict[str, Stream] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    _marks: Marks = field(default_factory=dict)
    _began: float = 0.0
    _driver: IO[str] | None = None

    def __post_init__(self) -> None:
        self.log = structlog.get_logger()

    def __enter__(self) -> Self:
        self._driver = self.bundle.path("driver.jsonl").open("w")
        self.log = structlog.wrap_logger(
            structlog.WriteLogger(self._driver),
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        ).bind(run=self.run.id)
        began = time.monotonic()
        try:
            with self.timeline.span("check", lane=CASE):
                check_disk(self.bundle.root)
                self.skip = self._inapplicable()
            if not self.skip:
                with self.timeline.span("pair", lane=CASE):
                    self._take(self.keeper.acquire(self.run, self.timeline))
        except LabTrouble as exc:
            self.trouble = exc
        finally:
            self._began = time.monotonic()
            self.seconds["provision"] = self._began - began
        return self

    def _take(self, pair: ReadyPair) -> None:
        self.pair, self.runs_before = pair, pair.served
        pair.served += 1
        self._marks = from_here(pair.captures, first=not self.runs_before)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        self.seconds["drive"] = time.monotonic() - self._began
        try:
            with self.timeline.span("account", lane=CASE):
                self._account_for(exc)
        except KeyboardInterrupt:
            self.note(Fault("interrupted", "", f"interrupted by the user, after: {exc}"))
            raise
        finally:
            with held_back():
                self._put_away(exc)
        return isinstance(exc, LabTrouble) or disk_full(exc)

    def _account_for(self, exc: BaseException | None) -> None:
        """Make incidents of what ended the block."""
        if isinstance(exc, KeyboardInterrupt):
            self.note(Fault("interrupted", "", "interrupted by the user"))
        elif isinstance(exc, LabTrouble) and not isinstance(exc, NothingToMeasureError):
            self.note(*self._blame(exc))
        elif disk_full(exc):
            self.note(*self._seen(), Fault("host", "", f"{exc}: {self.bundle.root}, or {self.keeper.captures}"))
        elif exc is None or isinstance(exc, NothingToMeasureError):
            self.note(*self._seen(), *self._check_captures())
        else:
            self.note(*self._seen(), Fault("host", "", f"a fault of the lab, {type(exc).__name__}: {exc}"))
        self.note(*self._damaged_files())

    def _damaged_files(self) -> tuple[Fault, ...]:
        """After trouble that a damaged kernel, initrd, image, layer or state explains, all of it is read anew.

        What is remembered of a file misses what rots below the file system, or in memory.
        """
        plan = self.keeper.plan
        kernels = [plan.kernel(name) for name in (self.run.kernel, self.run.reference) if name]
        if not may_be_damaged(self.incidents):
            return ()
        images = tuple(filter(None, (plan.image, plan.layer(self.run.layer))))
        wrong = {text for kernel in kernels for text in unsound(kernel, images, plan.plugin, anew=True)}
        if self.pair is not None and self.pair.warm:
            wrong.add(damaged_state(self.pair.warm))
        return tuple(Fault("damaged", "", text) for text in sorted(filter(None, wrong)))

    def _seen(self) -> tuple[Fault, ...]:
        """What host and channels did since the run before this one, however this one seems to have ended."""
        return self.pair.troubles() if self.pair else ()

    def _check_captures(self) -> Iterator[Fault]:
        """On a full disk QEMU drops what guests say, and tells nobody."""
        try:
            check_disk(self.keeper.captures)
        except HostTrouble as trouble:
            yield Fault("host", "", trouble.message)

    def _put_away(self, exc: BaseException | None) -> None:
        """Evidence into the bundle; the pair is given up unless the next run may use it."""
        began = time.monotonic()
        try:
            if not self.skip:
                with self.timeline.span("collect", lane=CASE):
                    self._collect()
        finally:
            unused = isinstance(exc, NothingToMeasureError)
            shared = not self.run.shape.bare
            with self.timeline.span("drop", lane=CASE):
                self.keeper.done(fit=shared and not self.incidents and (unused or (exc is None and self._is_clean())))
            self.seconds["collect"] = time.monotonic() - began
            if self._driver is not None:
                with contextlib.suppress(OSError):
                    self._driver.close()

    def _inapplicable(self) -> str:
        """Why this run does not apply here; "" when it does. A kernel that does not list its drivers may have any."""
        profile, have = self.run.profile, self.keeper.hypervisor.qemu_version
        if tuple(map(int, have.split(".")[:2])) < profile.min_qemu:
            return f"{profile.name} needs QEMU {dotted(profile.min_qemu)}, this host has {have}"
        plan = self.keeper.plan
        for kernel in (plan.kernel(name) for name in (self.run.kernel, self.run.reference) if name):
            if profile.module and kernel.modules and profile.module not in kernel.modules:
                return f"{kernel.name} has no driver {profile.module}"
        if self.run.shape.counted and (why := cannot_count(have, plan.accelerator)):
            return why
        return inapplicable(self.case, self.run.design, self.run.nic, plan.kernel(self.run.kernel).release)

    @property
    def ready(self) -> ReadyPair:
        """The pair. Raises the trouble that kept us from having one."""
        if self.pair is None:
            raise self.trouble or NothingToMeasureError(self.skip or "there is no pair")
        return self.pair

    @property
    def tested(self) -> Role:
        """The guest under test."""
        return self.ready.pair.request.tested

    def require_preflight(self) -> None:
        """Raises NothingToMeasureError where this kernel and NIC do too little of what the case is about."""
        if not self.case.proved:
            return
        reached, floor = preflight_reached(self.ready)
        if reached < floor:
            shown = self.ready.traffic.preflight.shown
            raise NothingToMeasureError(f"{reached:.0%} of the preflight's bytes {shown}, the floor is {floor:.0%}")

    def guests(self) -> tuple[Guest, ...]:
        return tuple(self.pair.pair.guests.values()) if self.pair else ()

    # -- whose fault, and what is kept --------------------------------------------------------------------------

    def note(self, *faults: Fault) -> None:
        """Make incidents of them."""
        for fault in faults:
            self.incidents.append(Incident(kind=fault.kind, guest=fault.guest, detail=fault.detail, t=utc_now()))
            with contextlib.suppress(OSError):  # a full disk is an incident too
                self.log.info("incident", kind=fault.kind, guest=fault.guest, detail=fault.detail)

    def _blame(self, exc: LabTrouble) -> tuple[Fault, ...]:
        """The faults behind trouble."""
        if self.pair is None:
            return explained(Fault("boot", "", str(exc)), exc.seen)
        return account(exc, self.guests(), self.limits, self.pair.troubles)

    def _collect(self) -> None:
        """This run's part of the pair's captures. With no pair: whatever its guests said while they could."""
        captures = self.pair.captures if self.pair else self.keeper.captures
        copy(captures, self._marks or from_power_on(captures), self.bundle)

    def _is_clean(self) -> bool:
        """Whether the next run may use the same pair: memory came back, and neither kernel has faulted."""
        told = {role: self._checkpoints(role) for role in ROLES}
        ends = {s.name: unexplained(s) for s in told[self.tested]}
        whole = "baseline" in ends and "end" in ends and ends["end"] - ends["baseline"] < CLEAN
        return whole and not any(taint.flags(s.tainted or 0) for samples in told.values() for s in samples)

    def _checkpoints(self, role: Role) -> tuple[Sample, ...]:
        path = self.bundle.root / role / "checkpoints.jsonl"
        return parse_checkpoints(path.read_bytes()).samples if path.exists() else ()
