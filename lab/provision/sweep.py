"""Ends guests that outlived their worker: a worker killed by SIGKILL cannot end its own."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from lab.interrupt import held_back
from lab.paths import runtime_dir
from lab.words import printable

KILL_LIMIT_MS = 10_000


def left_behind(runtime: Path) -> dict[int, str]:
    """QEMU processes of a session by pid, with their domain names: those whose arguments name its private directory."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if b"qemu-system" in argv[0] and any(os.fsencode(runtime) + b"/" in arg for arg in argv):
                found[int(entry.name)] = _domain(argv)
    return found


def _domain(argv: list[bytes]) -> str:
    name = argv[argv.index(b"-name") + 1] if b"-name" in argv else b"a guest without a name"
    return name.decode(errors="replace").removeprefix("guest=").split(",")[0]


def sweep(runtime: Path) -> tuple[str, ...]:
    """Kill what was left behind and wait until it is gone; returns the domain names."""
    found = left_behind(runtime)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                waiter = select.poll()
                waiter.register(handle, select.POLLIN)
                waiter.poll(KILL_LIMIT_MS)
            finally:
                os.close(handle)
    return tuple(found.values())


def tidy(runtime: Path) -> None:
    """Nothing of a session may stay: neither a guest whose worker was killed, nor sockets and libvirt state."""
    with held_back():
        for name in sweep(runtime):
            print(printable(f"lab: ended a guest that was left behind: {name}"), file=sys.stderr)
        shutil.rmtree(runtime, ignore_errors=True)


def private_folder(at_the_end: Callable[[Callable[[], None]], object]) -> Path:
    """A folder for what a session keeps to itself. `at_the_end` is given what ends all of it, and no signal cuts in."""
    with held_back():
        made = runtime_dir()
        at_the_end(functools.partial(tidy, made))
    return made
