# SPDX-License-Identifier: GPL-2.0-only
"""Which batches take far too long near the end of a session, and who should do them once more."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.fleet.attempts import AT_WORK, Attempt, FleetFolder
from lab.fleet.orders import batches
from lab.plan.learnt import Learnt, kernel_kind, way_of, way_on
from lab.plan.matrix import Run
from lab.plan.order import PAIR_SECONDS
from lab.plan.session import SessionPlan

SLOW, LEAST = 2.0, 60.0
"""An attempt is late that takes so many times as long as was to be expected of its host, and so many seconds: a cold
host is given artefacts first."""


@dataclass
class Late:
    """The batches of a session that were to be done when it began, and what is known of hosts."""

    plan: SessionPlan
    fleet: FleetFolder
    batches: Sequence[str]
    known: Learnt
    _runs: Mapping[str, tuple[Run, ...]] = field(init=False)
    _before: dict[str, int] = field(init=False)
    _left: list[str] = field(init=False)
    _again: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By batch that was begun again: the host, and the number of the last attempt before."""

    def __post_init__(self) -> None:
        self._runs = batches(self.plan)
        self._left = list(self.batches)
        self._before = {name: max((a.number for a in self.fleet.attempts(name)), default=0) for name in self.batches}

    def look(self, room: Mapping[str, int], now: datetime.datetime | None = None) -> Iterator[tuple[str, str, str]]:
        """Batches to begin again: the batch, who is late with it, and the host that is to do it as well.

        room: by host, how many batches at once. Nothing is begun again while a batch waits to be begun, or to be tried
        again; and none is begun again twice.
        """
        at_work: dict[str, list[Attempt]] = {}
        free = Counter(room)
        for name in reversed(self._left):  # the last that is begun first: mostly, that is all there is to look at
            if self.fleet.is_settled(name):
                continue
            attempts = self.fleet.attempts(name)
            at_work[name] = [a for a in attempts if self._is_at_work(a)]
            if not at_work[name]:
                return
            if name in self._again and attempts[-1].number == self._again[name][1]:  # its process still starts
                free.subtract([self._again[name][0]])
        self._left = [name for name in self._left if name in at_work]
        free.subtract(a.host for attempts in at_work.values() for a in attempts)
        moment = now or datetime.datetime.now(datetime.UTC)
        for name in self._left:
            slow = at_work[name][0]
            others = [host for host, places in free.items() if places > 0 and host in room and host != slow.host]
            if others and name not in self._again and self.is_late(slow, moment):
                host = min(others, key=lambda host: self.expected(name, host))
                free[host] -= 1
                self._again[name] = host, at_work[name][-1].number
                yield name, slow.host, host

    def _is_at_work(self, attempt: Attempt) -> bool:
        """Whether it was begun since, and goes on; what a killed controller had begun does not."""
        return attempt.state == AT_WORK and attempt.number > self._before[attempt.batch]

    def is_late(self, attempt: Attempt, now: datetime.datetime) -> bool:
        spent = (now - datetime.datetime.fromisoformat(attempt.began)).total_seconds()
        return spent > max(LEAST, SLOW * self.expected(attempt.batch, attempt.host))

    def expected(self, batch: str, host: str) -> float:
        """Seconds that a host needs for a batch, by what was learnt of it, else as its cases say."""
        runs = self._runs[batch]
        kernel = self.plan.kernel(runs[0].kernel)
        kind = kernel_kind(kernel.base, kernel.fragments)
        way = way_on(way_of(self.plan.accelerator, cold=self.plan.cold), host)
        pair = self.known.pair_seconds(runs[0], kind, way, PAIR_SECONDS)
        return pair + sum(self.known.seconds(run, kind, way) for run in runs)
