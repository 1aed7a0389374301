# SPDX-License-Identifier: GPL-2.0-only
"""The short doctor that a batch begins with: what would fail every batch in a second is told before any of them."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

from lab.fleet.artefacts import lacking
from lab.fleet.orders import WorkOrder, seconds_behind
from lab.host.paths import cache_root, runtime_root
from lab.host.version import lab_code, lab_version
from lab.provision.private import abandoned
from lab.provision.qemu import installed_qemu, qemu_too_old
from lab.provision.sweep import left_behind, tidy
from lab.units import MIB

ROOM_MIB = 256
"""Free disk for captures and bundles of one batch."""
CLOCK_SECONDS = 300.0
"""Clocks of two hosts may differ by so much."""


def examine(order: WorkOrder, out: Path, now: datetime.datetime | None = None) -> tuple[str, ...]:
    """Why this host should not be given the order; all of it, () when it may. `now`: the time where it comes from."""
    checks: tuple[Callable[[], str], ...] = (
        lambda: _disk(out),
        lambda: _disk(cache_root()),
        lambda: _clock(order, now),
        _stale,
        lambda: _same_lab(order),
        lambda: _artefacts(order),
        _qemu,
    )
    return tuple(dict.fromkeys(filter(None, (check() for check in checks))))


def _disk(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free // MIB
    return "" if free >= ROOM_MIB else f"disk: {free} MiB are free at {there}, {ROOM_MIB} are needed"


def _clock(order: WorkOrder, now: datetime.datetime | None) -> str:
    here = datetime.datetime.now(datetime.UTC)
    behind = seconds_behind(order, here)
    if behind > CLOCK_SECONDS:
        return f"clock: {behind:.0f} s behind the moment when the order was made"
    if now is not None and (apart := abs((here - now).total_seconds())) > CLOCK_SECONDS:
        return f"clock: {apart:.0f} s apart from that of the controller"
    return ""


def _stale() -> str:
    """Guests that a killed command left are ended; those that cannot be are trouble."""
    for folder in abandoned(runtime_root()):
        tidy(folder)
        if left := left_behind(folder):
            return f"stale guests: {', '.join(left.values())} cannot be ended"
    return ""


def _same_lab(order: WorkOrder) -> str:
    if order.lab_code == lab_code():
        return ""
    return (
        f"lab: the order comes from {order.lab_version} ({order.lab_code[:12]}), "
        f"here is {lab_version()} ({lab_code()[:12]}); lab hosts setup"
    )


def _artefacts(order: WorkOrder) -> str:
    absent = [artefact.place for artefact in lacking(order.artefacts)]
    return f"artefacts: absent or damaged: {', '.join(absent)}" if absent else ""


def _qemu() -> str:
    qemu = installed_qemu()
    if qemu is None:
        return "QEMU: qemu-system-x86_64 is not on PATH"
    problem = qemu_too_old(qemu)
    return f"QEMU: {problem}" if problem else ""
