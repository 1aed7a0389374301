"""Worker processes of a session, known by a file each while they may have guests: told to stop, and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed
from lab.units import Deadline, wait_until

STOP_LIMIT = timedelta(seconds=40)


@contextlib.contextmanager
def registered(runtime: Path, name: str) -> Iterator[None]:
    """This process is at work: its guests are gone, and its evidence is kept, when the block has ended."""
    path = runtime / f"{name}.pid"
    path.write_text(f"{os.getpid()} {_started(os.getpid())}")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def at_work(runtime: Path) -> tuple[int, ...]:
    """Pids of the registered workers that live, but for this process."""
    found: list[int] = []
    for path in runtime.glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid, started = path.read_text().split()
            if started == _started(int(pid)) and int(pid) != os.getpid():
                found.append(int(pid))
    return tuple(found)


def stop(runtime: Path, limit: timedelta = STOP_LIMIT) -> bool:
    """Interrupt every worker and wait until each has tidied up; False when the limit passed first."""
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
    """When a process began, in ticks since boot: tells it from a later one with the same pid."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    state, start = stat.rpartition(")")[2].split()[0], stat.rpartition(")")[2].split()[19]
    return start if state != "Z" else ""
