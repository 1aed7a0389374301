# SPDX-License-Identifier: GPL-2.0-only
"""How long each wait of a run may last. Generous: a slow host is not a fault; a wait ends early by its signal.

The same under every accelerator: KVM inside another emulator, or on a host that is starved, is no faster than TCG.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import timedelta

CLOCK_SLACK_S, CLOCK_RATIO = 1.0, 1.25
"""How far a guest's clock may run ahead of the host's. Of 312 on a loaded host six ran 3.8 to 5.1 times too fast,
and no other one more than 1.01 times or 0.1 s."""


DEBUG_FRAGMENT = "debug.config"
DEBUG_TIMES = 4
"""A kernel with all of its own checks on needs more than the 180 s of `delivery` for 256 MiB under emulation."""


def times_slower(fragments: Collection[str]) -> int:
    """How many times longer a kernel built with these fragments may take."""
    return DEBUG_TIMES if DEBUG_FRAGMENT in fragments else 1


def ran_ahead(guest_s: float, host_s: float) -> float:
    """How many times too fast a guest's clock ran while the host's took host_s seconds; 0 for one that kept time."""
    return guest_s / max(host_s, 0.1) if guest_s > CLOCK_SLACK_S + CLOCK_RATIO * host_s else 0.0


@dataclass(frozen=True)
class Limits:
    """Deadlines of one session, part of its plan.

    boot        power-on to the ready line      carrier   ready to carrier on both ends of the link
    preflight   its few MiB, both programs      delivery  what a case's sender offers
    answer      one command or one program's answer
    settle      counters that the kernel batches or flushes late (2 s)
    silence     telemetry, ten lines a second, locked in memory and safe from OOM: beyond it a guest has hung
    stall       bytes to the abuser, before it counts as stopped
    standstill  the same for one that a limit slows down, and who may go on
    death       between a lost connection and libvirt's word that the guest died
    """

    boot: timedelta = timedelta(seconds=120)
    carrier: timedelta = timedelta(seconds=60)
    preflight: timedelta = timedelta(seconds=60)
    delivery: timedelta = timedelta(seconds=180)
    answer: timedelta = timedelta(seconds=40)
    settle: timedelta = timedelta(seconds=6)
    silence: timedelta = timedelta(seconds=20)
    stall: timedelta = timedelta(seconds=3)
    standstill: timedelta = timedelta(seconds=20)
    death: timedelta = timedelta(seconds=2)

    def longer(self, times: int) -> Limits:
        """All of them so many times longer."""
        return Limits(**{field.name: getattr(self, field.name) * times for field in fields(self)})
