# SPDX-License-Identifier: GPL-2.0-only
"""How a run counts: checkpoints, the canaries that some of them leave, and the time that counters get to settle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from lab.drive.ssh import GuestShell
from lab.errors import DeadlinePassed
from lab.evidence.memory import is_at_rest
from lab.evidence.model import Sample
from lab.evidence.telemetry import parse_checkpoints
from lab.pair.ready import await_canary
from lab.plan.case import Checkpoint, ClientSpec
from lab.plan.commands import checkpoint_argv
from lab.plan.names import Role, digest, other
from lab.provision.guest import Guest
from lab.trial.watched import Watched
from lab.units import MIB, Deadline

RECENT = 8
"""Samples, ten a second and two with each checkpoint, that are enough to tell rest by."""


@dataclass
class Counting(Watched):
    """A run that has its guests counted."""

    def observe(self, samples: int) -> None:
        """Let the guests run while telemetry takes that many more samples (ten a second), unless it falls silent."""
        goal = self._sequence() + samples
        limit = self.limits.silence + timedelta(seconds=samples)
        with self._step("observe", samples=samples):
            self._await_sample(f"sample {goal}", lambda s: s.seq >= goal, limit)

    def checkpoint(self, name: Checkpoint, *, until: Callable[[Sample], bool] = lambda _: True) -> Sample | None:
        """Have the guest under test count everything; None when its answer cannot be read (which the rules will see).

        What is counted is compared with the samples on either side: nothing may move between those two.
        It is counted again while `until` is not content and has time to become so; the last count is the evidence.
        """
        with self._step("checkpoint", name=name):
            return self._checkpoint(name, until)

    def _checkpoint(
        self, name: Checkpoint, until: Callable[[Sample], bool], *, pages: bool = True, canary: str = ""
    ) -> Sample | None:
        deadline = Deadline.after(f"checkpoint {name}", self.limits.settle)
        argv = checkpoint_argv(name, pages=pages, canary=canary)
        line, counted = self._count(self.ready.tested, argv)
        while counted is not None and not until(counted) and not deadline.expired:
            line, counted = self._count(self.ready.tested, argv)
        self._keep_checkpoint(self.tested, line)
        if counted is not None:
            after = counted.t
            with self._part("next sample"):
                self._await_sample(f"telemetry after {name}", lambda s: s.t > after, self.limits.silence)
        return counted

    def _count(self, shell: GuestShell, argv: tuple[str, ...]) -> tuple[bytes, Sample | None]:
        """One count, between two samples that telemetry takes for it."""
        line = shell.check(list(argv), seconds=self.limits.answer.total_seconds())
        return line, next(iter(parse_checkpoints(line).samples), None)

    def _keep_checkpoint(self, role: Role, line: bytes) -> None:
        with self.bundle.path(f"{role}/checkpoints.jsonl").open("ab") as f:
            f.write(line)

    def _bookend(
        self, name: Checkpoint, until: Callable[[Sample], bool] = lambda _: True, *, pages: bool = True
    ) -> None:
        """A checkpoint of both guests that leaves a canary in their logs: what is between two of them was heard."""
        token = f"{digest(self.run.session, self.run.id, length=12)}-{name}"
        role = other(self.tested)
        beside = self.ready.shells.get(role)
        with self._step("checkpoint", name=name), ThreadPoolExecutor(1) as pool:
            argv = checkpoint_argv(name, pages=False, canary=token)
            counting = pool.submit(self._count, beside, argv) if beside else None
            self._checkpoint(name, until, pages=pages, canary=token)
            if counting is not None:
                self._keep_checkpoint(role, counting.result()[0])
            for guest in self.life.guests():
                self._await_canary(guest, token)

    def _await_canary(self, guest: Guest, token: str) -> None:
        """A console may print later than the log takes a line. One that does not show it is for the rules to see."""
        with self._part("canary"):
            try:
                await_canary(guest, token)
            except DeadlinePassed as exc:
                self.log.info("no canary", what=str(exc))

    def settled(self, what: str, is_settled: Callable[[Sample], bool]) -> None:
        """Give counters that are batched or flushed late (2 s) time to arrive; what they say then is evidence."""
        with self._step("settled", what=what):
            try:
                self._await_sample(what, is_settled, self.limits.settle)
            except DeadlinePassed as exc:
                self.log.info("not settled", what=str(exc))

    def still(self, who: ClientSpec) -> None:
        """Give what was on its way to a client that takes no more the time to come to rest in its sockets."""
        self.settled("queues still", lambda _: is_at_rest(self._recent(RECENT), who.name))

    def charge_gone(self, who: ClientSpec) -> None:
        """Give the charge of a client that released time to go."""
        self.settled("charge gone", lambda s: who.name in s.cgroups and s.cgroups[who.name].current < MIB)
