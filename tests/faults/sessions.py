# SPDX-License-Identifier: GPL-2.0-only
"""The sessions that faults are tried on: chosen by a seed, started as a user would, watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.errors import DeadlinePassed
from lab.plan.session import EVENTS_FILE, PLAN_FILE
from lab.units import Deadline, wait_until
from suites.selftests.table import SELFTESTS
from tests.faults.processes import of_role, ours, resident_mib
from tests.faults.world import World
from tests.unit.selftests.tree import small_tree

Json = dict[str, Any]
LAB = str(Path(sys.executable).with_name("lab"))
KERNEL = "6.12"
PASSING = ("release", "copy-control", "sock-control", "bytes-equal", "dead-memcg")
"""Cases whose word is PASS on a stock kernel: there a false FAIL can be told from a true one."""
FAILING = ("hold", "pin-vmsplice")
NICS = ("loopback", "virtio", "e1000e-split")
TEST = "demo/slow.sh"
SLOW = "#!/bin/sh\necho 1..2\necho ok 1 begun\nsleep 6\necho ok 2 rested\n"
AS_FROM_A_TERMINAL = ("env", "--default-signal=HUP,INT,TERM")
"""Whoever starts us in the background, or under nohup, has some of them ignored, and that is handed down."""
STEPS = 12
"""Events that a run tells, about."""
ENOUGH_MIB = 800
"""A session whose folder has more than that has its guests ended."""
SESSION_LIMIT = timedelta(minutes=8)


@dataclass(frozen=True)
class Scenario:
    """A command of the lab's, and when a fault shall come: so many seconds after so many lines of progress."""

    command: str
    nic: str = "loopback"
    cases: tuple[str, ...] = ()
    workers: int = 1
    cold: bool = False
    lines: int = 0
    delay: float = 0.0

    def argv(self, world: World) -> list[str]:
        kernel = ["--kernel", KERNEL]
        cold = ["--cold"] if self.cold else []
        results = ["--results", str(world.results)]
        match self.command:
            case "run":
                cells = ["--nic", self.nic, "-n", str(self.workers), *cold, *results, "--json"]
                return [LAB, "run", *self.cases, *kernel, *cells]
            case "shell":
                return [LAB, "shell", *kernel, "--nic", self.nic, *cold, "--", "sh", "-c", "echo in; sleep 8"]
            case "selftest":
                return [
                    LAB,
                    "selftest",
                    TEST,
                    "--source",
                    str(_slow_test(world.root / "linux")),
                    *kernel,
                    *results,
                    "--json",
                ]
            case _:
                return [LAB, "doctor"]

    def __str__(self) -> str:
        where = "" if self.command in ("doctor", "selftest") else f" {self.nic}"
        many = f" x{self.workers}" if self.workers > 1 else ""
        return f"{self.command}{where}{many}{' cold' if self.cold else ''} {','.join(self.cases)}".rstrip()


def _slow_test(tree: Path) -> Path:
    """A source tree with one selftest, which takes some seconds."""
    if not tree.exists():
        demo = small_tree(tree) / SELFTESTS / "demo"
        (demo / "Makefile").write_text("TEST_PROGS := slow.sh\ninclude ../lib.mk\n")
        (demo / "settings").write_text("timeout=60\n")
        (demo / "slow.sh").write_text(SLOW)
    return tree


def choose(rng: random.Random, commands: Sequence[str]) -> Scenario:
    """A session and a moment in it. `commands` with as many weights as they have entries."""
    command = rng.choice(list(commands))
    nic = rng.choices(NICS, (6, 3, 1))[0]
    if command in ("doctor", "selftest"):
        return Scenario(command, lines=rng.randint(0, 6), delay=round(rng.uniform(0, 4), 2))
    if command == "shell":
        return Scenario(command, nic, cold=rng.random() < 0.2, lines=rng.randint(0, 3), delay=_short(rng))
    cases = tuple(rng.sample(PASSING, rng.choice((1, 1, 2))))
    cases += (rng.choice(FAILING),) if rng.random() < 0.25 else ()
    workers = 2 if len(cases) > 1 and rng.random() < 0.4 else 1
    lines = rng.randint(0, 1 + STEPS * len(cases) // workers)
    return Scenario("run", nic, cases, workers, rng.random() < 0.15, lines, _short(rng))


def _short(rng: random.Random) -> float:
    """Mostly at once, now and then well into a step."""
    return round(rng.choice((rng.uniform(0, 0.1), rng.uniform(0, 2))), 3)


def disk_mib(folder: Path) -> int:
    """What the files of a folder take; some may go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_blocks * 512 if path.is_file() else 0
    return total >> 20


@dataclass
class Live:
    """A session at work, and the largest resident memory (MiB) of a host process of it that is no QEMU."""

    scenario: Scenario
    world: World
    process: subprocess.Popen[bytes]
    peak: int = 0
    stray: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Path | None:
        """Of the session, once it has a plan."""
        found = sorted(self.world.results.glob(f"*/{PLAN_FILE}")) if self.world.results.is_dir() else []
        return found[0].parent if found else None

    @property
    def events(self) -> list[Json]:
        found: list[Json] = []
        for path in self.world.results.glob(f"*/{EVENTS_FILE}"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    @property
    def lines(self) -> int:
        """Lines of progress so far: of its events and on its terminal."""
        return len(self.events) + sum(log.read_bytes().count(b"\n") for log in self.logs)

    @property
    def logs(self) -> tuple[Path, Path]:
        return self.world.root / "stdout", self.world.root / "stderr"

    def watch(self) -> int | None:
        """Its exit status, None while it runs; its memory is looked at."""
        sizes = [resident_mib(proc) for proc in ours(self.world) if proc.role != "qemu"]
        self.peak = max(self.peak, *sizes, 0)
        if disk_mib(self.world.results) > ENOUGH_MIB:  # it is broken, as an oracle will say; this host shall not be
            for guest in of_role(self.world, "qemu"):
                guest.send(signal.SIGKILL)
        return self.process.poll()

    def reach(self) -> bool:
        """Wait for the scenario's moment; False when the session ended before it."""
        wanted = self.scenario

        def there() -> tuple[bool | None, object]:
            if self.process.poll() is not None:
                return False, ""
            seen = self.lines
            return (True if seen >= wanted.lines else None), f"{seen} lines"

        deadline = Deadline.after(f"{wanted.lines} lines of {wanted}", SESSION_LIMIT)
        if not wait_until(there, deadline=deadline, pause=timedelta(milliseconds=20)):
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(wanted.delay)
        return self.process.poll() is None

    def end(self) -> int:
        """Wait for its end. Raises DeadlinePassed."""
        return self.await_end(Deadline.after(f"the end of {self.scenario}", SESSION_LIMIT))

    def await_end(self, deadline: Deadline) -> int:
        """The same, for so long."""

        def ended() -> tuple[int | None, object]:
            return self.watch(), [str(proc) for proc in ours(self.world)]

        return wait_until(ended, deadline=deadline, pause=timedelta(milliseconds=400))

    def end_or_kill(self) -> int | None:
        """The same; None for one that had to be killed."""
        try:
            return self.end()
        except DeadlinePassed:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return None


def start(scenario: Scenario, world: World, prefix: Sequence[str] = (), name: str = "") -> Live:
    """Start it in a process group of its own, as a terminal would."""
    logs = [(world.root / f"{name}{stream}").open("wb") for stream in ("stdout", "stderr")]
    try:
        process = subprocess.Popen(
            [*AS_FROM_A_TERMINAL, *prefix, *scenario.argv(world)],
            stdin=subprocess.DEVNULL,
            stdout=logs[0],
            stderr=logs[1],
            env=world.env,
            start_new_session=True,
        )
    finally:
        for log in logs:
            log.close()
    return Live(scenario, world, process)
