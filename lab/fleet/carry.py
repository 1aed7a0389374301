# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.fleet.carry SESSION BATCH HOST`: one attempt at a batch, on one host, from this end.

A carrier starts it, or forks and calls `main`. Exit status 0: nothing of the batch is left to do, or trying again would
not help. 75: another host may do better.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lab.errors import BadInput, HostTrouble, LabError
from lab.fleet.arrival import Taken, take
from lab.fleet.attempts import AT_WORK, ENDED, GIVEN_UP, Attempt, FleetFolder, fleet_of
from lab.fleet.batch import RESULT, TRY_ELSEWHERE, is_done
from lab.fleet.carriers import AWAY
from lab.fleet.inventory import FleetHost
from lab.fleet.link import Link, Sent, linked
from lab.fleet.orders import batches, order_for
from lab.fleet.stream import Bounds, unpack
from lab.host.atonce import beside
from lab.host.filecache import locked
from lab.host.interrupt import SIGNALS
from lab.host.paths import cache_root
from lab.host.version import lab_code, lab_version
from lab.host.workers import ENOUGH, registered
from lab.plan.matrix import Run
from lab.plan.session import PLAN_FILE, SessionPlan, load
from lab.session.events import tell
from lab.session.start_engine import LOG
from lab.units import utc_now

SPOOL = "stream.tar.zst"
FASTER = "another host was faster"
LOOK = 1.0
"""Seconds from one look at whether a batch is done to the next."""
PUSHES = 4
"""Hosts that are given artefacts at a time: more would only share the same line."""


Planned = tuple[SessionPlan, Mapping[str, tuple[Run, ...]]]
"""A plan, and its batches: what is read, and found, once where a session has ten thousand runs."""


@dataclass
class Carry:
    """A batch, the host that it is tried on, and the signal that ends both. `beaten`: another host was faster."""

    plan: SessionPlan
    batches: Mapping[str, tuple[Run, ...]]
    batch: str
    host: FleetHost
    stopping: threading.Event
    beaten: bool = False

    @property
    def fleet(self) -> FleetFolder:
        return fleet_of(self.plan)

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.batches[self.batch]

    def todo(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if not is_done(self.plan.folder / run.id))

    def doing(self, what: str) -> None:
        tell(self.plan, event="stage", worker=self.host.name, run=self.host.name, what=what)

    def run(self) -> int:
        """Exit status."""
        status = self._run()
        if not self.todo():
            self.fleet.settle(self.batch)
            return 0
        return status

    def _run(self) -> int:
        if not self.todo() or (self.plan.sockets / ENOUGH).exists():
            return 0
        if self.fleet.is_out(self.host.name) or self.stopping.is_set():
            return TRY_ELSEWHERE
        self._settle()
        if not self.todo():
            return 0
        attempt = self.fleet.begin(self.batch, self.host.name)
        try:
            with beside(self._give_up_when_beaten, "beaten"):
                return self._attempt(attempt)
        except BadInput as exc:  # it would make no sense anywhere
            self.fleet.end(attempt, ENDED, exc.message)
            self.doing(f"refuses the order: {exc.message}")
            return 0
        except LabError as exc:
            self.fleet.end(attempt, GIVEN_UP, FASTER if self.beaten else exc.message)
            if not self.stopping.is_set():
                self.fleet.strike(self.host.name, exc.message)
            self.doing(f"given up: {exc.message}")
            return TRY_ELSEWHERE

    def _settle(self) -> None:
        """Attempts that were at work when their controller was killed: what they left is asked for first.

        Only where their host answers; it need not be this one.
        """
        hosts = self.fleet.hosts()
        for attempt in self.fleet.attempts(self.batch):
            if attempt.state == AT_WORK and attempt.host in hosts:
                with contextlib.suppress(LabError), linked(hosts[attempt.host], self.stopping) as link:
                    self.doing(f"asking {attempt.host} for what {attempt.key} has left")
                    self._fetch(link, attempt, given_up=False)
                if self.fleet.is_open(attempt):
                    self.fleet.end(attempt, GIVEN_UP, "its controller was killed, and its host does not answer")

    def _attempt(self, attempt: Attempt) -> int:
        """Raises LabError."""
        runs, folder = self.todo(), self.fleet.folder(attempt)
        self.doing("connecting")
        with linked(self.host, self.stopping) as link:
            facts = link.facts()
            self._late(link, facts.get("at"))
            order = order_for(
                self.plan,
                self.batch,
                runs,
                attempt.number,
                self.fleet.artefacts(),
                made=utc_now(),
                lab=(lab_version(), lab_code()),
                cache=cache_root(),
            )
            with locked(self.fleet.root / f"push-{zlib.crc32(self.host.name.encode()) % PUSHES}", progress=self.doing):
                pushed = link.push(order.artefacts, self.doing)
            if self.stopping.is_set():
                raise HostTrouble("it was told to stop before it had begun")
            sent = link.batch(order, folder / SPOOL, self.doing)
            self.beaten |= self.fleet.is_settled(self.batch)  # a signal may come before who looks for that has looked
            taken = self._take(sent, runs, attempt, given_up=self.beaten)
            link.have(sent)
        if self.beaten:
            self.fleet.end(attempt, GIVEN_UP, FASTER, pushed)
            return 0
        why = "; ".join([*sent.trouble, *(f"{k}: {v}" for k, v in taken.refused.items()), *taken.lies])
        self.fleet.end(attempt, ENDED, why, pushed)
        if taken.lies:
            self.fleet.strike(self.host.name, "; ".join(taken.lies))
        if not self.todo():
            if not taken.lies:
                self.fleet.absolve(self.host.name)
            return 0
        if self.stopping.is_set():
            return 0
        self.fleet.strike(self.host.name, why)
        self.doing(f"struck: {why}")
        return TRY_ELSEWHERE

    def _give_up_when_beaten(self, over: threading.Event) -> None:
        """Where another host has done the batch meanwhile, this one ends what it does in order."""
        while not over.wait(LOOK):
            if self.fleet.is_settled(self.batch):
                self.beaten = not self.stopping.is_set()
                self.stopping.set()
                return

    def _fetch(self, link: Link, attempt: Attempt, *, given_up: bool) -> None:
        folder = self.fleet.folder(attempt)
        sent = link.fetch(attempt.key, folder / SPOOL)
        runs = self.batches[attempt.batch]
        self._take(sent, runs, attempt, given_up=given_up)
        link.have(sent)
        if not given_up:
            self.fleet.end(attempt, ENDED, "fetched after its controller was killed")

    def _late(self, link: Link, at: object) -> None:
        """What is left on this host of attempts that were given up: kept, and not counted."""
        there = {str(key) for key in at} if isinstance(at, list) else set[str]()
        named = self.batches.keys() & {key.rpartition(".")[0] for key in there}
        for attempt in (attempt for batch in sorted(named) for attempt in self.fleet.attempts(batch)):
            if attempt.key in there and attempt.state == GIVEN_UP and attempt.host == self.host.name:
                self.doing(f"{attempt.key} was given up; what came of it is kept")
                with contextlib.suppress(BadInput):
                    self._fetch(link, attempt, given_up=True)

    def _take(self, sent: Sent, runs: Sequence[Run], attempt: Attempt, *, given_up: bool = False) -> Taken:
        """Unpack a stream and judge what is in it. Raises HostTrouble for one that is damaged, which is kept."""
        sent.path.replace(spool := self.fleet.folder(attempt) / SPOOL)
        unpacked = self.fleet.folder(attempt) / ("late" if given_up else "sent")
        shutil.rmtree(unpacked, ignore_errors=True)
        names = [run.id for run in self.batches[attempt.batch]]
        lost = [f"{name}.lost-{n}" for name in names for n in range(1, 4)]
        try:
            if spool.stat().st_size:
                with spool.open("rb") as stream:
                    unpack(stream, unpacked, Bounds.of([*names, *lost], RESULT, LOG))
        except BadInput as exc:
            raise HostTrouble(f"{self.host.name}: {exc.message}") from exc
        spool.unlink()
        stopped = self.stopping.is_set() and not self.beaten
        taken = take(self.plan, runs, unpacked, given_up=given_up, interrupted=stopped)
        for name, result in taken.counted.items():
            tell(self.plan, event="verdict", worker=self.host.name, run=name, word=result.verdict.word.value)
        return taken


def planned(folder: Path) -> Planned:
    """What a session's folder says. Raises BadInput."""
    plan = load((folder / PLAN_FILE).read_bytes(), cache_root())
    return plan, batches(plan)


def main(folder: Path, batch: str, host: str, known: Planned | None = None) -> int:
    """Exit status. `known`: of whoever starts many attempts, and has read it."""
    stopping = threading.Event()

    def stop(_signum: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in SIGNALS:
        signal.signal(number, stop)
    plan, grouped = known or planned(folder)
    hosts = fleet_of(plan).hosts()
    if host not in hosts:
        return TRY_ELSEWHERE  # it was taken off the list
    try:
        here = not os.environ.get(AWAY)
        with registered(plan.sockets, f"{batch}.{host}") if here else contextlib.nullcontext():
            return Carry(plan, grouped, batch, hosts[host], stopping).run()
    except LabError as exc:
        print(f"{batch} on {host}: {exc}", file=sys.stderr)
        return TRY_ELSEWHERE


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
