# SPDX-License-Identifier: GPL-2.0-only
"""Hosts at work on a plan, as the engine of its session: who is struck out, who is new, what is begun again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from lab.contracts import Progress
from lab.errors import LabError
from lab.fleet.answers import Answer, ask_all
from lab.fleet.artefacts import artefacts_of
from lab.fleet.attempts import FleetFolder, fleet_of
from lab.fleet.batch import is_done
from lab.fleet.carriers import CARRIERS, CARRY, LOGINS, Work, environment, logins
from lab.fleet.inventory import read_inventory
from lab.fleet.late import Late
from lab.fleet.orders import batches
from lab.host.records import write_whole
from lab.host.workers import ENDING, STOP_LIMIT, at_work
from lab.plan.session import SessionPlan
from lab.session.learnt import load_learnt
from lab.session.start_engine import LOG
from lab.units import Deadline

LOOK = 1.0
"""Seconds from one look at hosts and their list to the next."""
SPARE_TRIES = 2
"""Tries of a batch beyond one on each host."""


@dataclass
class Crew:
    """Runs a plan on other hosts: the engine of such a session (lab.session.start_engine.Runner)."""

    inventory: Path
    answers: tuple[Answer, ...]
    carrier: str
    progress: Progress
    signals: list[int] = field(default_factory=list)
    plan: SessionPlan | None = None
    process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None
    _looked: float = 0.0
    _seen: float = 0.0
    _out: set[str] = field(default_factory=set)
    _some_are_left: bool = True
    _late: Late | None = None
    _again: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def _plan(self) -> SessionPlan:
        assert self.plan is not None  # noqa: S101 - nobody asks before `begin`
        return self.plan

    @property
    def fleet(self) -> FleetFolder:
        return fleet_of(self._plan)

    def begin(self, plan: SessionPlan) -> None:
        """Raises HostTrouble, BadInput."""
        self.plan = plan
        self.fleet.write(tuple(answer.host for answer in self.answers), artefacts_of(plan))
        self._seen = self.inventory.stat().st_mtime
        self._write_logins()
        todo = [n for n, runs in batches(plan).items() if not all(is_done(plan.folder / run.id) for run in runs)]
        self._late = Late(plan, self.fleet, todo, load_learnt())
        tries = len([answer for answer in self.answers if answer.room]) + SPARE_TRIES
        argv = CARRIERS[self.carrier](Work(plan.folder, todo, tries))
        self._log = (plan.folder / LOG).open("ab")
        self.process = self._start(argv)
        if self.signals:
            self.stop(self.signals[-1], None)

    def _start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        out = self._log
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(), start_new_session=True
        )

    def poll(self) -> int | None:
        """Its exit status, None while it runs. Hosts that failed too often are given nothing more; new ones are."""
        assert self.process is not None  # noqa: S101
        status = self.process.poll()
        self._again = [process for process in self._again if process.poll() is None]
        if self._again:
            status = None
        if status is None and time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._look()
        return status

    def stop(self, signum: int, _frame: FrameType | None, /) -> None:
        """A handler: nothing more is begun, and every attempt has its host end what it does and send what there is."""
        self.signals.append(signum)
        if self.process is None or self.plan is None:
            return
        with contextlib.suppress(OSError):
            (self.plan.sockets / ENDING).touch()
        self.process.send_signal(signal.SIGHUP)
        for pid in at_work(self.plan.sockets):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    def end(self) -> None:
        """What is left of the carrier goes; attempts end in order before."""
        left = [p for p in (self.process, *self._again) if p is not None and p.poll() is None]
        if left:
            self.stop(signal.SIGINT, None)
        deadline = Deadline.after("attempts to end", 2 * STOP_LIMIT)
        for process in left:
            try:
                process.wait(max(deadline.remaining, 0.0))
            except subprocess.TimeoutExpired:
                _kill(process)
        if self._log is not None:
            self._log.close()

    def _look(self) -> None:
        out = {answer.host.name for answer in self.answers if self.fleet.is_out(answer.host.name)}
        for name in out - self._out:
            self.progress(f"{name} is struck out: {self.fleet.strikes(name)[-1]}")
        changed, self._out = out != self._out, out
        with contextlib.suppress(OSError):
            seen = self.inventory.stat().st_mtime
            if seen != self._seen:
                self._seen, changed = seen, True
                self._read_again()
        if changed:
            self._some_are_left = self._write_logins()
        if not self._some_are_left and not at_work(self._plan.sockets):
            self.progress("no host is left")
            if self.process is not None:
                _kill(self.process)
        self._begin_again()

    def _begin_again(self) -> None:
        """Near the end, a batch that takes far too long is begun once more, on a host that has room for it."""
        if self.signals or self._late is None or self.carrier == "slurm":  # whose nodes are not ours to begin on
            return
        room = {a.host.name: a.room for a in self.answers if a.room and a.host.name not in self._out}
        for batch, slow, host in self._late.look(room):
            self.progress(f"{batch} takes long on {slow}: it is begun again on {host}")
            self._again.append(self._start([*CARRY, str(self._plan.folder), batch, host]))

    def _read_again(self) -> None:
        """The list has changed: who is new on it is asked, who is gone is given nothing more."""
        try:
            hosts = read_inventory(self.inventory)
        except LabError as exc:
            self.progress(f"the list of hosts is left as it was: {exc.message}")
            return
        known = {answer.host: answer for answer in self.answers}
        new = [host for host in hosts if host not in known]
        asked = {answer.host: answer for answer in (ask_all(new, self.progress) if new else ())}
        self.answers = tuple((known | asked)[host] for host in hosts)
        self.fleet.write_hosts(tuple(answer.host for answer in self.answers))

    def _write_logins(self) -> bool:
        """Whether anybody is on the list of those who are given batches."""
        room = {answer.host.name: answer.room for answer in self.answers if answer.host.name not in self._out}
        told = logins([answer.host for answer in self.answers], room)
        write_whole(self.fleet.root / LOGINS, told)
        return bool(told)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
