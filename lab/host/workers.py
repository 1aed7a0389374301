# SPDX-License-Identifier: GPL-2.0-only
"""Worker processes of a session, known by a file each while they may have guests: told to stop, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed, HostTrouble
from lab.units import Deadline, wait_until

STOP_LIMIT = timedelta(seconds=40)
ENDING = "ending"
"""Marks a private folder whose session is told to stop: nobody begins to work for it any more."""
ENOUGH = "enough"
"""Marks a private folder whose session begins no more runs; those at work go on to their end."""


def identity(pid: int) -> str:
    """What tells a process from a later one with the same pid. Raises OSError when there is none."""
    return f"{pid} {_started(pid)}"


def living(told: str) -> int:
    """The pid of the process with this identity; 0 when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = told.split()
        return int(pid) if started == _started(int(pid)) else 0
    return 0


@contextlib.contextmanager
def registered(runtime: Path, name: str) -> Iterator[None]:
    """This process is at work: its guests are gone, and its evidence is kept, when the block has ended.

    Raises HostTrouble when the session is ending: whoever ends it may have looked for workers already.
    """
    path = runtime / f"{name}.pid"
    with contextlib.suppress(FileNotFoundError):
        path.write_text(identity(os.getpid()))
    try:
        if not path.exists() or (runtime / ENDING).exists():
            raise HostTrouble(f"{name} starts no run: its session has ended")
        yield
    finally:
        path.unlink(missing_ok=True)


def at_work(runtime: Path) -> tuple[int, ...]:
    """Pids of the registered workers that live, but for this process."""
    found: list[int] = []
    for path in runtime.glob("*.pid"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.append(living(path.read_text()))
    return tuple(pid for pid in found if pid not in (0, os.getpid()))


def stop(runtime: Path, limit: timedelta = STOP_LIMIT) -> bool:
    """Interrupt every worker and wait until each has tidied up; False when the limit passed first."""
    with contextlib.suppress(OSError):  # the folder may be gone already, or its disk full
        (runtime / ENDING).touch()
    for pid in at_work(runtime):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)

    def gone() -> tuple[bool | None, object]:
        left = at_work(runtime)
        return (None if left else True), left

    try:
        return wait_until(gone, deadline=Deadline.after("workers to tidy up", limit))
    except DeadlinePassed:
        return False


def _started(pid: int) -> str:
    """When a process began, in ticks since boot."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    state, start = stat.rpartition(")")[2].split()[0], stat.rpartition(")")[2].split()[19]
    return start if state not in "ZX" else ""
