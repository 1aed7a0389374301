# SPDX-License-Identifier: GPL-2.0-only
"""Faults of the host's processes: killed, stopped, told to end; and what a session may not have."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed
from lab.units import Deadline, wait_until
from tests.faults.effects import Effect, NotPossibleError, effect
from tests.faults.processes import Proc, of_role
from tests.faults.sessions import Live, Scenario, start

Inject = Callable[[Live, random.Random], Effect]


def target(live: Live, role: str, rng: random.Random) -> Proc:
    """One process of that role. Raises NotPossibleError."""
    if role == "lab":
        return Proc(live.process.pid, os.getpid(), "lab", ())
    found = [proc for proc in of_role(live.world, role.removesuffix("-inside")) if proc.pid != live.process.pid]
    if not found:
        raise NotPossibleError(f"no {role} now")
    return rng.choice(found)


def _sent(role: str, number: signal.Signals, told: str) -> Inject:
    """One signal to a process of that role; `told` says with {} for which what that did."""

    def inject(live: Live, rng: random.Random) -> Effect:
        proc, began = target(live, role, rng), time.time()
        proc.send(number)
        return effect(told.format(f"{role} {proc.pid}"), began, pair=proc.pair)

    return inject


def kill(role: str) -> Inject:
    """SIGKILL."""
    return _sent(role, signal.SIGKILL, "killed {}")


def pause(role: str, shortest: float, longest: float) -> Inject:
    """SIGSTOP, and SIGCONT some seconds later."""

    def inject(live: Live, rng: random.Random) -> Effect:
        proc, began, seconds = target(live, role, rng), time.time(), rng.uniform(shortest, longest)
        proc.send(signal.SIGSTOP)
        try:
            _meanwhile(live, seconds)
        finally:
            proc.send(signal.SIGCONT)
        return effect(f"stopped {role} {proc.pid} for {seconds:.1f} s", began, pair=proc.pair)

    return inject


def _meanwhile(live: Live, seconds: float) -> None:
    """That long, or until the session has ended."""
    with suppress(DeadlinePassed):
        live.await_end(Deadline.after("the end of a pause", timedelta(seconds=seconds)))


def freeze(role: str) -> Inject:
    """SIGSTOP for good."""
    return _sent(role, signal.SIGSTOP, "stopped {} for ever")


def signals(*numbers: signal.Signals, group: bool = False) -> Inject:
    """One after the other, to the command alone or, as a terminal does, to its group."""

    def inject(live: Live, rng: random.Random) -> Effect:
        began = time.time()
        for number in numbers:
            with suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(live.process.pid, number)
            if number is not numbers[-1]:
                _meanwhile(live, rng.choice((0, 0.01, 0.3, 1.5)))
        return effect(f"{', '.join(n.name for n in numbers)} to the {'group' if group else 'command'}", began)

    return inject


def second_session(live: Live, _rng: random.Random) -> Effect:
    """Another one with the same folders."""
    began = time.time()
    other = start(Scenario("run", cases=("release",)), live.world, name="second-")
    live.stray.append(other.process)
    return effect("a second session in the same folders", began, harmless=True)


def nothing(_live: Live, _rng: random.Random) -> Effect:
    """The fault was there from the start."""
    now = time.time()
    return Effect("from the start", now, now)


def limited(option: str, lowest: int, highest: int) -> Callable[[random.Random], list[str]]:
    """Prefix of a command that may not have more of something."""

    def prefix(rng: random.Random) -> list[str]:
        return ["prlimit", f"--{option}={round(lowest * (highest / lowest) ** rng.random())}"]

    return prefix


@contextmanager
def little_memory(name: str, mib: int) -> Iterator[list[str]]:
    """Prefix of a command that, with all that it starts, may not have more memory than that. For root.

    Raises NotPossibleError where this host has no memory controller for us.
    """
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, key = (first, "memory.limit_in_bytes") if first.is_dir() else (second, "memory.max")
    group = parent / name
    try:
        group.mkdir()
        (group / key).write_text(str(mib << 20))
    except OSError as exc:
        with suppress(OSError):
            group.rmdir()
        raise NotPossibleError(f"no cgroup with a limit: {exc}") from exc
    try:
        yield ["sh", "-c", f'echo 0 > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        _removed(group)


def _removed(group: Path) -> None:
    """The kernel lets go of the last process a moment after it has ended."""

    def gone() -> tuple[bool | None, object]:
        try:
            group.rmdir()
        except OSError as exc:
            return None, exc
        return True, ""

    wait_until(gone, deadline=Deadline.after(f"the end of the cgroup {group}", timedelta(seconds=10)))
