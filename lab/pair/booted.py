# SPDX-License-Identifier: GPL-2.0-only
"""Pairs that boot: again, where a guest's clock does not keep time."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lab.contracts import Progress
from lab.pair.ready import ReadyPair, ready_pair
from lab.pair.timeline import Timeline
from lab.plan.limits import ran_ahead
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest

ATTEMPTS = 3
"""Boots before a host is believed not to give its guests a clock that keeps time."""


@contextlib.contextmanager
def booted_pair(
    hypervisor: Hypervisor,
    request: PairRequest,
    progress: Progress,
    timeline: Timeline | None = None,
) -> Iterator[ReadyPair]:
    """A pair that boots, made ready.

    Boots again, up to ATTEMPTS times in all, while a guest's clock runs fast; `note` says so. The last pair is
    returned even so, with `fast_clock` set: the run's own rule finds it, and nobody may save it. Raises LabTrouble.
    """
    told: list[str] = []
    while True:
        with contextlib.ExitStack() as stack:
            ready = stack.enter_context(ready_pair(hypervisor, request, progress, timeline))
            ready.fast_clock = _fast_clock(ready)
            if not ready.fast_clock or len(told) + 1 == ATTEMPTS:
                ready.note = "".join(f"booted again: {what}\n" for what in told).rstrip()
                yield ready
                return
            told.append(ready.fast_clock)
        progress(f"{told[-1]}: booting again")
        shutil.rmtree(request.captures, ignore_errors=True)
        if request.saving:
            emptied(request.saving)


def emptied(folder: Path) -> None:
    """A guest that boots must not find what was in the memory of one before it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _fast_clock(ready: ReadyPair) -> str:
    """Which guest's clock ran away since it was ready, and how fast; "" when both keep time. Raises GuestLost, ..."""
    for role, shell in ready.shells.items():
        uptime = shell.check(["cat", "/proc/uptime"])
        if times := times_too_fast(ready.pair.guests[role].signals.clock, uptime):
            return f"the {role}'s clock runs {times:.1f} times too fast"
    return ""


def times_too_fast(ready: tuple[float, float] | None, uptime: bytes) -> float:
    """By the times of guest and host when it was ready, and what /proc/uptime says now; 0 for one that keeps time."""
    guest, host = ready or (0.0, 0.0)
    return ran_ahead(float(uptime.split()[0]) - guest, time.monotonic() - host)
