# SPDX-License-Identifier: GPL-2.0-only
"""The processes of a round, and what each is: known by a mark in the environment, or by the folder they name."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed
from lab.units import Deadline, wait_until
from tests.faults.world import MARK, World

ROLES = ("qemu", "reaper", "engine", "worker", "guardian", "lab", "other")


@dataclass(frozen=True)
class Proc:
    """One process. `pair` is that of a QEMU's guest, "" for others."""

    pid: int
    parent: int
    role: str
    argv: tuple[str, ...]
    pair: str = ""

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def __str__(self) -> str:
        return f"{self.role} {self.pid} ({' '.join(self.argv)[:90]})"


def role_of(argv: tuple[str, ...]) -> str:
    """What a command line is to the lab."""
    program = Path(argv[0]).name if argv else ""
    marks: tuple[tuple[str, bool], ...] = (
        ("qemu", program.startswith("qemu-system")),
        ("reaper", program == "tini"),
        ("guardian", "lab.provision.guardian" in argv),
        ("engine", "lab.session.engine" in argv or "--lab-plan" in argv),
        ("worker", any("eval(sys.stdin.readline())" in arg for arg in argv)),
        ("lab", "lab.cli" in argv or any(Path(arg).name == "lab" for arg in argv[:3])),
    )
    return next((role for role, is_it in marks if is_it), "other")


def _pair_of(argv: tuple[str, ...]) -> str:
    name = argv[argv.index("-name") + 1] if "-name" in argv[:-1] else ""
    return name.removeprefix("guest=").split(",")[0].removeprefix("lab-").rpartition("-")[0]


def _seen(entry: Path) -> Proc | None:
    """None for one that has ended and waits for its parent."""
    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    if state in "ZX":
        return None
    argv = tuple(os.fsdecode(part) for part in (entry / "cmdline").read_bytes().split(b"\0")[:-1])
    role = role_of(argv)
    return Proc(int(entry.name), int(parent), role, argv, _pair_of(argv) if role == "qemu" else "")


def ours(world: World) -> list[Proc]:
    """All living processes of a round, the oldest first."""
    mark, folder = f"{MARK}={world.mark}".encode(), os.fsencode(world.root) + b"/"
    found: list[Proc] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            told = mark in (entry / "environ").read_bytes().split(b"\0") or folder in (entry / "cmdline").read_bytes()
            if told and (proc := _seen(entry)) is not None:
                found.append(proc)
    return sorted(found, key=lambda proc: proc.pid)


def of_role(world: World, role: str) -> list[Proc]:
    return [proc for proc in ours(world) if proc.role == role]


def wait_gone(world: World, limit: timedelta) -> list[Proc]:
    """Processes of the round that still live when the limit has passed."""

    def gone() -> tuple[bool | None, object]:
        left = ours(world)
        return (None if left else True), [str(proc) for proc in left]

    try:
        wait_until(gone, deadline=Deadline.after("the round's processes to end", limit), pause=timedelta(seconds=0.2))
    except DeadlinePassed:
        return ours(world)
    return []


def end_all(world: World) -> None:
    """Kill what is left of a round, stopped processes too, until nothing new appears."""
    for _ in range(20):
        left = ours(world)
        if not left:
            return
        for proc in left:
            proc.send(signal.SIGKILL)
        wait_gone(world, timedelta(seconds=2))


def resident_mib(proc: Proc) -> int:
    """Peak of what a process had resident; 0 for one that is gone."""
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/{proc.pid}/status").read_text()
        line = next((line for line in text.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
        return int(line.split()[1]) // 1024
    return 0
