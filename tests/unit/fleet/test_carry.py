# SPDX-License-Identifier: GPL-2.0-only
"""What a host has left of attempts that are over: a real `lab batch --serve` is asked for it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from lab.errors import HostTrouble
from lab.fleet.arrival import FLEET
from lab.fleet.artefacts import artefacts_of
from lab.fleet.attempts import AT_WORK, ENDED, GIVEN_UP, Attempt, FleetFolder
from lab.fleet.batch import ORDER, is_done
from lab.fleet.carry import Carry
from lab.fleet.inventory import FleetHost
from lab.fleet.link import Link, linked
from lab.fleet.orders import batches, dump_order
from lab.host.paths import project_root
from lab.plan.session import SessionPlan
from tests.unit.fleet import simulated
from tests.unit.fleet.made import INTERRUPTED, bundle_of, order_of, plan_in


@pytest.fixture
def host(tmp_path: Path) -> FleetHost:
    command = f"LAB_CACHE={tmp_path}/there LAB_RUNTIME={tmp_path} PYTHONPATH={project_root()} {sys.executable}"
    return FleetHost("one", ("sh", "-c", f"{command} -P -m lab batch --serve"), 1)


@pytest.fixture
def carry(host: FleetHost, tmp_path: Path) -> Carry:
    """A session whose controller was killed when its first batch was at work on this host."""
    plan = plan_in(tmp_path / "results" / "s1", ("hold",))
    (plan.folder / FLEET).mkdir(parents=True)
    fleet = FleetFolder(plan.folder)
    fleet.write((host,), artefacts_of(plan))
    fleet.begin(next(iter(batches(plan))), host.name)
    grouped = batches(plan)
    return Carry(plan, grouped, next(iter(grouped)), host, threading.Event())


def left_there(plan: SessionPlan, tmp_path: Path, **changes: object) -> Path:
    """What its host has of that attempt: every run, the first of which says what is told."""
    order = order_of(plan)
    folder = tmp_path / "there" / "fleet" / order.key
    folder.mkdir(parents=True)
    (folder / ORDER).write_bytes(dump_order(order))
    for number, run in enumerate(plan.runs):
        bundle_of(plan, run, folder, **({} if number else changes))
    return folder


def the_attempt(carry: Carry) -> Attempt:
    return carry.fleet.attempts(carry.batch)[0]


def test_what_an_attempt_of_a_killed_controller_has_left_is_fetched_and_counts(carry: Carry, tmp_path: Path) -> None:
    there = left_there(carry.plan, tmp_path)
    assert the_attempt(carry).state == AT_WORK
    assert carry.run() == 0
    assert all(is_done(carry.plan.folder / run.id) for run in carry.plan.runs)
    assert [a.state for a in carry.fleet.attempts(carry.batch)] == [ENDED]
    assert not there.exists()


def test_what_is_late_is_kept_and_not_counted(carry: Carry, tmp_path: Path) -> None:
    there = left_there(carry.plan, tmp_path)
    carry.fleet.end(the_attempt(carry), GIVEN_UP, "the host was cut off")
    with linked(carry.host) as link:
        carry._late(link, link.facts()["at"])
    assert not any(is_done(carry.plan.folder / run.id) for run in carry.plan.runs)
    late = carry.fleet.folder(the_attempt(carry)) / "late"
    assert {path.name for path in late.iterdir()} == {run.id for run in carry.plan.runs}
    assert not there.exists()


def test_what_a_signal_had_ended_there_is_left_to_be_done(carry: Carry, tmp_path: Path) -> None:
    left_there(carry.plan, tmp_path, incidents=INTERRUPTED)
    carry._settle()
    assert [run.id for run in carry.todo()] == [carry.plan.runs[0].id]
    assert the_attempt(carry).state == ENDED


def test_a_host_that_does_not_answer_is_not_waited_for(carry: Carry) -> None:
    gone = FleetHost("one", ("sh", "-c", "exit 255"), 1)
    carry.fleet.write_hosts((gone,))
    carry._settle()
    assert the_attempt(carry).state == GIVEN_UP
    assert len(carry.todo()) == len(carry.plan.runs)
    carry.host = gone
    assert carry.run() == 75
    assert len(carry.fleet.strikes("one")) == 1


def test_who_is_told_to_stop_because_another_host_was_faster_is_beaten(
    carry: Carry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends before the one who looks for that has looked: what comes then is late, and does not count."""
    monkeypatch.setattr(Carry, "_give_up_when_beaten", lambda *_: None)
    carry.fleet.end(the_attempt(carry), GIVEN_UP, "")
    carry.host = simulated.host(simulated.make(tmp_path / "hosts", carry.plan, 600.0), "slow")
    carry.fleet.write_hosts((carry.host,))

    def another_is_faster(_: Carry, what: str) -> None:
        if "as if guests ran" in what:
            carry.fleet.settle(carry.batch)
            carry.stopping.set()

    monkeypatch.setattr(Carry, "doing", another_is_faster)
    carry.run()
    last = carry.fleet.attempts(carry.batch)[-1]
    assert (last.host, last.state, last.why) == ("slow", GIVEN_UP, "another host was faster")
    assert not any(is_done(carry.plan.folder / run.id) for run in carry.plan.runs)


def test_who_is_beaten_before_its_batch_has_begun_says_so_and_is_not_struck(
    carry: Carry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry.fleet.end(the_attempt(carry), GIVEN_UP, "")
    carry.host = simulated.host(simulated.make(tmp_path / "hosts", carry.plan, 600.0), "slow")
    carry.fleet.write_hosts((carry.host,))

    def pushing(*_: object) -> int:
        carry.fleet.settle(carry.batch)
        carry.stopping.wait(60)  # until who looks for that has looked
        raise HostTrouble("it was told to stop while k was pushed")

    monkeypatch.setattr(Link, "push", pushing)
    carry.run()
    last = carry.fleet.attempts(carry.batch)[-1]
    assert (last.host, last.state, last.why) == ("slow", GIVEN_UP, "another host was faster")
    assert not carry.fleet.strikes("slow")
