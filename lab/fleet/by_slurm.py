# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.fleet.by_slurm SESSION TRIES`: the carrier for a site that has a Slurm cluster.

One job array has an element for each batch, and the node that Slurm chooses is the host: the lab, the session and the
cache lie where all nodes see them. A node that dies is Slurm's to notice (`--requeue`). An element that ends without
its batch being done is submitted again, for another node where there is one: to requeue it would delay it by the life
of a Slurm credential, two minutes. SIGHUP: what waits is cancelled, and what runs is interrupted.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed
from lab.fleet.attempts import FleetFolder
from lab.fleet.carriers import AWAY, BATCHES, CARRY, LOGINS
from lab.units import Deadline, wait_until

PAUSE = 2.0
"""Seconds from one look at the queue to the next."""
GRACE = 120
"""Seconds that an attempt has to end in order before Slurm's time limit."""
ANSWER = 60.0
"""Seconds for a command of Slurm's."""


@dataclass
class Array:
    """The elements of a session. `working` are those that Slurm has been given, and not been seen to be done with."""

    session: Path
    tries: int
    names: list[str]
    hosts: set[str]
    working: set[int] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _tried: Counter[int] = field(default_factory=Counter)

    @property
    def fleet(self) -> FleetFolder:
        return FleetFolder(self.session)

    @property
    def job(self) -> str:
        """Its name in Slurm, which is nobody else's."""
        return f"lab-{self.session.name}"

    def submit(self, numbers: Iterable[int], without: Collection[str] = ()) -> None:
        """Give these elements to Slurm, for hosts that are not `without`. Raises subprocess.SubprocessError."""
        wanted = list(numbers)
        nodes = set(told("sinfo", "--noheader", "--Node", "--format=%N").split())
        excluded = sorted((nodes - self.hosts) | set(without))
        told(
            "sbatch",
            *("--parsable", f"--job-name={self.job}", f"--array={','.join(map(str, wanted))}", "--requeue"),
            *("--open-mode=append", f"--output={self.fleet.root / 'slurm-%a.log'}", f"--signal=B:INT@{GRACE}"),
            *([f"--exclude={','.join(excluded)}"] if excluded else []),
            f"--wrap={self.element()}",
        )
        self.working.update(wanted)
        self._tried.update(wanted)

    def element(self) -> str:
        """What a node runs; signals are the attempt's own, as it takes the place of the shell."""
        batch = f'"$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(self.fleet.root / BATCHES))})"'
        carry = shlex.join([*CARRY, str(self.session)])
        return f'{AWAY}=1 exec {carry} {batch} "$SLURMD_NODENAME"'

    def look(self) -> None:
        """What Slurm is done with, and is not done, is tried again. A slurmctld that is gone is waited for."""
        try:
            there = told("squeue", "--noheader", "--array", f"--name={self.job}", "--format=%K").split()
            for number in sorted(self.working - set(map(int, there))):
                self._ended(number)
        except subprocess.CalledProcessError as exc:
            print(f"{exc.cmd[0]}: {exc.stderr.strip()}", file=sys.stderr, flush=True)
        except subprocess.TimeoutExpired as exc:
            print(exc, file=sys.stderr, flush=True)

    def _ended(self, number: int) -> None:
        name = self.names[number]
        if self.fleet.is_settled(name):
            self.working.discard(number)
        elif self._tried[number] < self.tries and not self.over.is_set():
            failed = {attempt.host for attempt in self.fleet.attempts(name)}
            out = {host for host in self.hosts if self.fleet.is_out(host)}
            without = (failed | out) & self.hosts
            self.submit([number], without if without < self.hosts else out if out < self.hosts else ())
        else:
            self.working.discard(number)
            self.lost.append(name)

    def at_rest(self) -> tuple[bool | None, object]:
        """Whether Slurm is done with all of them; it tells nobody by itself."""
        if self.working:
            self.look()
        return (None if self.working else True), [self.names[number] for number in sorted(self.working)]

    def cancel(self) -> None:
        """Nothing more is begun; who is at work ends in order."""
        for what in (["--state=PENDING"], ["--batch", "--signal=INT", "--state=RUNNING"]):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(["scancel", f"--name={self.job}", *what], check=False, timeout=ANSWER)


def told(*argv: str) -> str:
    """What a command of Slurm's says. Raises subprocess.SubprocessError."""
    return subprocess.run(
        argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=ANSWER
    ).stdout


def main(session: Path, tries: int) -> int:
    """How many batches are lost, 100 at most."""
    root = FleetFolder(session).root
    names = (root / BATCHES).read_text().split()
    hosts = {line.partition("/")[2] for line in (root / LOGINS).read_text().split()}
    array = Array(session, tries, names, hosts)
    signal.signal(signal.SIGHUP, lambda *_: array.over.set())
    if names:
        array.submit(range(len(names)))
    while array.working and not array.over.wait(PAUSE):
        array.look()
    if array.working:
        array.cancel()
    with contextlib.suppress(DeadlinePassed):
        ending = Deadline.after("elements that were told to end", timedelta(seconds=2 * GRACE))
        wait_until(array.at_rest, deadline=ending, pause=timedelta(seconds=PAUSE))
    return min(len(array.lost), 100)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
