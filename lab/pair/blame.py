# SPDX-License-Identifier: GPL-2.0-only
"""Whose fault is it, when a run meets trouble: the guest's kernel, its QEMU, this host, or nobody that can be named."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from lab.collect.stream import size
from lab.errors import CommandFailed, DeadlinePassed, Fault, Flood, GuestLost, HostTrouble, LabTrouble
from lab.plan.limits import Limits
from lab.provision.hypervisor import Death
from lab.units import MIB, Deadline, wait_until

DISK_FULL = 4 * MIB
"""With less than that free, QEMU's captures fall silent whatever the guests do."""


class Watched(Protocol):
    """What is asked of a guest here; `lab.provision.guest.Guest` gives it."""

    @property
    def role(self) -> str: ...

    @property
    def death(self) -> Death | None: ...

    @property
    def ended(self) -> str: ...

    @property
    def telemetry(self) -> Path: ...

    def emulator_answers(self, limit: timedelta) -> bool: ...


def account(
    trouble: LabTrouble, guests: Sequence[Watched], limits: Limits, seen: Callable[[], Sequence[Fault]]
) -> tuple[Fault, ...]:
    """All faults of a run that trouble has ended: the one behind it, and those the host has `seen` till then.

    Asked last: what a guest was, or was not, allowed to do may show while somebody is blamed.
    """
    fault = blame(trouble, guests, limits)
    return explained(fault, seen())


def explained(fault: Fault, seen: Sequence[Fault]) -> tuple[Fault, ...]:
    """A fault beside what was seen, unless that explains it. Pure.

    A guest that floods a channel is ended for it: whatever its end looks like, it is no other trouble. One that the
    host kept from running, or whose captures are not what it wrote, cannot be said to hang.
    """
    if fault.kind == "flood" or any(other.kind == "flood" for other in seen):
        return tuple({other.detail: other for other in (fault, *seen) if other.kind not in ENDED}.values())
    hindered = any(other.guest in ("", fault.guest) and other.kind in ("frozen", "host") for other in seen)
    return tuple(seen) if fault.kind == "hang" and hindered else (*seen, fault)


ENDED = frozenset({"boot", "lost", "deadline", "qemu-exit", "hang"})
"""What the end of a guest looks like to those who wait for it."""


def blame(trouble: LabTrouble, guests: Sequence[Watched], limits: Limits) -> Fault:
    """The fault behind trouble with running guests. May wait: for a death to be told, for telemetry to speak."""
    if isinstance(trouble, Flood):
        return Fault("flood", "", trouble.message)
    dead = _await_death(guests, limits) if isinstance(trouble, GuestLost | DeadlinePassed | CommandFailed) else None
    if dead is not None and dead.death is not None:
        return Fault("lost" if dead.death.by_itself else "qemu-exit", dead.role, f"{dead.death}; {trouble}")
    silent = _silent_guest(guests, limits) if isinstance(trouble, GuestLost | DeadlinePassed) else None
    if silent is not None:
        return _of_silence(silent, f"no telemetry for {limits.silence.total_seconds():g} s; {trouble}", limits)
    if isinstance(trouble, DeadlinePassed):
        return Fault("deadline", "", str(trouble))
    return Fault("lost" if isinstance(trouble, GuestLost) else "host", "", str(trouble))


def check_disk(folder: Path) -> None:
    """Raises HostTrouble when there is no room left for captures."""
    free = _free(folder)
    if free < DISK_FULL:
        raise HostTrouble(
            f"no disk left: {free // 1024} KiB are free for {folder}", hint="free some disk, or --results elsewhere"
        )


def disk_full(exc: BaseException | None) -> bool:
    """Whether an error says that the disk, or this user's share of it, is full."""
    return isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)


def _free(folder: Path) -> int:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    about = os.statvfs(there)
    return about.f_bavail * about.f_frsize


def _of_silence(guest: Watched, detail: str, limits: Limits) -> Fault:
    """A kernel is blamed for silence only when disk and QEMU are proved to be well, and its init, which tells whose
    program has ended, has told nothing."""
    if guest.ended:
        return Fault("lost", guest.role, f"its {guest.ended} has ended; {detail}")
    if _free(guest.telemetry) < DISK_FULL:
        return Fault("host", guest.role, f"no disk left for captures; {detail}")
    if not guest.emulator_answers(limits.silence):
        return Fault("qemu-exit", guest.role, f"QEMU does not say that it runs (stopped from outside?); {detail}")
    return Fault("hang", guest.role, detail)


def _await_death(guests: Sequence[Watched], limits: Limits) -> Watched | None:
    """A lost connection races with the news of the guest's death: give the death its chance."""

    def dead() -> tuple[Watched | None, object]:
        return next((g for g in guests if g.death is not None), None), "all guests run"

    try:
        return wait_until(dead, deadline=Deadline.after("a guest's death", limits.death))
    except DeadlinePassed:
        return None


def _silent_guest(guests: Sequence[Watched], limits: Limits) -> Watched | None:
    """A guest whose telemetry, which is locked in memory and exempt from OOM, says nothing more."""
    before = {g.role: size(g.telemetry) for g in guests}

    def speaking() -> tuple[bool | None, object]:
        quiet = [g.role for g in guests if size(g.telemetry) == before[g.role]]
        return (True if not quiet else None), quiet

    try:
        wait_until(speaking, deadline=Deadline.after("telemetry", limits.silence))
    except DeadlinePassed:
        return next((g for g in guests if size(g.telemetry) == before[g.role]), None)
    return None


@dataclass
class Watch:
    """Looks after guests during other waits, so that a dead or silent one ends them long before their deadline."""

    limits: Limits
    _heard: dict[str, tuple[int, float]] = field(default_factory=dict)

    def check(self, guests: Iterable[Watched]) -> None:
        """Raises GuestLost for a guest that died, or said nothing for long; HostTrouble when the disk is full."""
        now = time.monotonic()
        for guest in guests:
            if guest.death is not None:
                raise GuestLost(f"the {guest.role} is gone: {guest.death}")
            said, since = size(guest.telemetry), now
            if guest.role in self._heard and self._heard[guest.role][0] == said:
                since = self._heard[guest.role][1]
            self._heard[guest.role] = (said, since)
            if now - since > self.limits.silence.total_seconds():
                raise GuestLost(f"the {guest.role} has said nothing for {now - since:.0f} s")
