# SPDX-License-Identifier: GPL-2.0-only
"""Which runs the workers get, and when: xdist's scheduler with workers that only write down what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from lab.plan.matrix import Run
from lab.session.plugin import item_name
from lab.session.scheduler import PairScheduling
from tests.known import expand


@dataclass(eq=False)
class Worker:
    """What xdist calls a node."""

    name: str
    got: list[int] = field(default_factory=list)
    shutting_down: bool = False
    done: int = 0

    @property
    def gateway(self) -> SimpleNamespace:
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, indices: list[int]) -> None:
        self.got += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def may_go_on(self) -> bool:
        """A worker runs an item when it knows the next one, or that there is none."""
        return len(self.got) - self.done > (0 if self.shutting_down else 1)


class Session:
    """Workers and a scheduler; `finish` is a worker at the end of its present item."""

    def __init__(self, names: list[str], runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("lab.session.scheduler.time.monotonic", lambda: self.now)
        config: Any = SimpleNamespace(
            option=SimpleNamespace(tx=[f"{len(names)}*popen"], maxprocesses=None, loadscopereorder=True),
            getvalue=lambda name: [f"{len(names)}*popen"] if name == "tx" else None,
        )
        self.items = [f"test_x.py::{item_name(run)}" for run in runs]
        self.scheduler = PairScheduling(config, None, {item_name(run): run for run in runs})
        self.workers = [Worker(name) for name in names]
        for worker in self.workers:
            self.scheduler.add_node(worker)
            self.scheduler.add_node_collection(worker, self.items)
        self.scheduler.schedule()

    def finish(self, worker: Worker, at: float) -> None:
        self.now = at
        assert worker.may_go_on, "it waits to be told what comes next"
        self.scheduler.mark_test_complete(worker, worker.got[worker.done])
        worker.done += 1


def planned(*batches: tuple[str, str, float]) -> list[Run]:
    """Runs of (case, NIC, seconds), each a batch where the NIC is another one than before."""
    made: list[Run] = []
    for case, nic, seconds in batches:
        (run,) = expand("s", [("k", "stock")], [nic], [case], 1)
        number = made[-1].batch + (made[-1].nic != nic) if made else 0
        made.append(replace(run, batch=number, seconds=seconds))
    return made


def test_a_batch_goes_to_one_worker_and_who_is_free_first_gets_what_is_last(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = planned(
        *(("hold", "virtio", 9), ("release", "virtio", 3)),
        *(("hold", "e1000", 6), ("release", "e1000", 3)),
        *(("bystander", "virtio-mrg", 14), ("bystander", "e1000e-split", 12)),
    )
    session = Session(["gw0", "gw1"], runs, monkeypatch)
    first, second = session.workers
    assert (first.got, second.got) == ([0, 1], [2, 3])

    session.finish(second, 6)  # it is to know what comes after its last: the first is busy for 6 s more, itself for 3
    assert second.got == [2, 3, 4]
    session.finish(first, 9)  # 3 s more; the other has 14 to do
    assert first.got == [0, 1, 5]
    session.finish(second, 9)
    assert second.shutting_down  # there is nothing left: it may begin its last
    session.finish(first, 12)
    assert first.shutting_down
    session.finish(first, 24)
    session.finish(second, 23)
    assert session.scheduler.tests_finished


def test_a_worker_with_a_long_run_before_it_leaves_the_last_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = planned(
        *(("hold", "virtio", 9), ("release", "virtio", 14)),
        *(("hold", "e1000", 10), ("release", "e1000", 3)),
        ("bystander", "e1000e-split", 12),
    )
    session = Session(["gw0", "gw1"], runs, monkeypatch)
    first, second = session.workers
    session.finish(first, 9)
    assert (first.got, first.shutting_down) == ([0, 1], True)  # it would begin it at 23, the other at 13
    session.finish(second, 10)
    assert second.got == [2, 3, 4]


def test_what_a_dead_worker_had_goes_to_the_one_that_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = planned(("hold", "virtio", 9), ("release", "virtio", 3), ("hold", "e1000", 6), ("release", "e1000", 3))
    session = Session(["gw0", "gw1"], runs, monkeypatch)
    session.finish(session.workers[0], 9)
    assert session.scheduler.remove_node(session.workers[0]) == session.items[1]
    another = Worker("gw2")
    session.scheduler.add_node(another)
    session.scheduler.add_node_collection(another, session.items)
    session.scheduler.schedule()
    assert (another.got, session.workers[1].got) == ([1], [2, 3])
