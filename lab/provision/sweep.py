# SPDX-License-Identifier: GPL-2.0-only
"""Ends what outlived its owner: a process killed by SIGKILL cannot end its own guests, nor what it started."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lab.host.interrupt import held_back
from lab.host.workers import at_work, stop

KILL_LIMIT_MS = 10_000
ROUNDS = 5
"""What is killed may have been starting another: looked for again, that often."""

TIDY_LIMIT = timedelta(seconds=60)
"""For workers to keep their evidence and end their guests: more than the 40 s that an engine gives its own."""

COOKIE = "LAB_PRIVATE"
"""In the environment of all that the owner of a private folder starts: that folder."""

Argv = list[bytes]


def left_behind(runtime: Path) -> dict[int, str]:
    """QEMU processes of a session by pid, with their domain names: those whose arguments name its private directory."""
    found = {pid: _argv(pid) for pid in _pids()}
    return {pid: _domain(argv) for pid, argv in found.items() if _is_guest(argv, runtime)}


def sweep(runtime: Path) -> tuple[str, ...]:
    """Kill the guests that were left behind and wait until they are gone; returns the domain names."""
    found = left_behind(runtime)
    for pid in found:
        _kill(pid, lambda pid: _is_guest(_argv(pid), runtime))
    return tuple(found.values())


def sweep_helpers(runtime: Path) -> int:
    """Kill what the owner of a private directory started, and what that started: engine, workers, ssh; how many."""
    mine = _ancestry()
    found = [pid for pid in _pids() if pid not in mine and _bears(pid, runtime)]
    for pid in found:
        _kill(pid, lambda pid: _bears(pid, runtime))
    return len(found)


def tidy(runtime: Path, limit: timedelta = TIDY_LIMIT) -> None:
    """Nothing of a session may stay: workers end first, their evidence kept; then guests, sockets, libvirt state."""
    with held_back():
        if at_work(runtime):
            stop(runtime, limit)
        for _ in range(ROUNDS):
            helpers, guests = sweep_helpers(runtime), sweep(runtime)
            for name in guests:
                _say(f"ended a guest that was left behind: {name}")
            if not helpers and not guests:
                break
        shutil.rmtree(runtime, ignore_errors=True)


def _say(what: str) -> None:
    with contextlib.suppress(OSError):  # nobody may be there to hear it
        print(f"lab: {what}", file=sys.stderr)


# -- processes -----------------------------------------------------------------------------------------------------


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _argv(pid: int) -> Argv:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _is_guest(argv: Argv, runtime: Path) -> bool:
    return bool(argv) and b"qemu-system" in argv[0] and any(os.fsencode(runtime) + b"/" in arg for arg in argv)


def _domain(argv: Argv) -> str:
    name = argv[argv.index(b"-name") + 1] if b"-name" in argv else b"a guest without a name"
    return name.decode(errors="replace").removeprefix("guest=").split(",")[0]


def _bears(pid: int, runtime: Path) -> bool:
    with contextlib.suppress(OSError):  # it is gone, or another user's
        return os.fsencode(f"{COOKIE}={runtime}") in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def _ancestry() -> set[int]:
    """This process and those above it."""
    found, pid = set[int](), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def _kill(pid: int, still: Callable[[int], bool]) -> None:
    """End a process at once, and wait until it is gone, if the pid is `still` that of what was meant."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(pid)
        try:
            if still(pid):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                waiter = select.poll()
                waiter.register(handle, select.POLLIN)
                waiter.poll(KILL_LIMIT_MS)
        finally:
            os.close(handle)
