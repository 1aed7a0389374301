# SPDX-License-Identifier: GPL-2.0-only
"""What a step waits for: samples of telemetry as they come, a program's line however it races with the look."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from lab.collect.bundle import BundleWriter
from lab.drive.ssh import Program
from lab.errors import DeadlinePassed, GuestLost
from lab.evidence.model import Sample
from lab.pair.ready import ReadyPair, Stream
from lab.plan.limits import Limits
from lab.plan.matrix import Run
from lab.provision.hypervisor import Death
from lab.provision.pair import Pair
from lab.trial.life import Life
from lab.trial.steps import Steps
from lab.units import Deadline
from suites.rx_zerocopy.clients import HOLDS
from tests.known import CASES
from tests.unit.provision.guests import guest
from tests.unit.verdict.builder import story

HOLD = CASES["hold"]
(ABUSER,) = HOLD.clients
LIMITS = Limits(silence=timedelta(seconds=20))
SHORT = timedelta(milliseconds=100)


@pytest.fixture
def subject(tmp_path: Path) -> Steps:
    """An experiment on a pair whose receiver is a folder: what it says is what we write there."""
    receiver = guest(tmp_path, "receiver")
    pair = ReadyPair(
        Pair(cast(Any, SimpleNamespace(tested="receiver")), {"receiver": receiver}), {}, threading.Condition()
    )
    run = Run("s", "k", "stock", "loopback", "hold", 0)
    return Steps(Life(run, HOLD, cast(Any, None), BundleWriter(tmp_path / "b"), lambda _: None, LIMITS, pair=pair))


def say(subject: Steps, *numbers: int) -> None:
    """The receiver's telemetry grows by samples of these numbers."""
    sample = story("hold").machine.telemetry[0]
    with subject.ready.pair.receiver.telemetry.open("a") as f:
        f.writelines(json.dumps({**sample, "seq": n, "t": n / 10}) + "\n" for n in numbers)


def test_a_sample_that_is_there_is_enough(subject: Steps) -> None:
    say(subject, 4, 5)
    seen: list[int] = []
    subject._await_sample("sample 5", lambda s: seen.append(s.seq) or s.seq == 5, SHORT)  # type: ignore[func-returns-value]
    assert seen[-1] == 5


def test_each_sample_is_looked_at_once(subject: Steps) -> None:
    seen: list[int] = []

    def is_it(sample: Sample) -> bool:
        seen.append(sample.seq)
        if sample.seq < 8:
            say(subject, sample.seq + 1)
        return sample.seq == 8

    say(subject, 5)
    subject._await_sample("sample 8", is_it, timedelta(seconds=10))
    assert seen == [5, 6, 7, 8]


def test_what_does_not_come_is_told_with_what_came_last(subject: Steps) -> None:
    with pytest.raises(DeadlinePassed, match="sample 9; last saw: no sample"):
        subject._await_sample("sample 9", lambda s: s.seq == 9, SHORT)
    say(subject, 3)
    with pytest.raises(DeadlinePassed, match="sample 9; last saw: sample 3"):
        subject._await_sample("sample 9", lambda s: s.seq == 9, SHORT)


def test_a_dead_guest_ends_the_wait(subject: Steps) -> None:
    subject.ready.pair.receiver.signals.died(Death("gone", by_itself=True))
    with pytest.raises(GuestLost):
        subject._await_sample("sample 9", lambda s: s.seq == 9, timedelta(seconds=10))


class Counting(threading.Condition):
    """Counts how often somebody waits for it."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return super().wait(timeout)


def test_a_line_that_comes_between_look_and_wait_is_not_waited_for(subject: Steps, tmp_path: Path) -> None:
    changed = Counting()
    program = Program("abuser", (), tmp_path / "out", cast(Any, None), changed)

    def speak() -> None:
        with changed:
            program.events.append({"event": "holding"})
            changed.notify_all()

    def look(_: Program) -> bool:
        if program.said("holding"):
            return True
        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()  # it has been said, and nobody was woken
        return False

    subject._watch(program, look, Deadline.after("holding", timedelta(seconds=10)))
    assert changed.waits == 0


def streaming(subject: Steps, tmp_path: Path, *lines: dict[str, Any]) -> Program:
    """A client of the experiment that has said these lines."""
    client = Program("abuser", (), tmp_path / "out", cast(Any, None), threading.Condition(), list(lines))
    subject.streams["abuser"] = Stream(ABUSER, client, client)
    subject.limits, subject.log = replace(LIMITS, delivery=SHORT), structlog.get_logger()
    return client


def test_a_client_flows_until_what_was_asked_for_has_grown(subject: Steps, tmp_path: Path) -> None:
    client = streaming(subject, tmp_path, {"event": "progress", "delivered": 10, "held": 4})

    def speak() -> None:
        with client.changed:
            client.events.append({"event": "progress", "delivered": 30, "held": 9})
            client.changed.notify_all()

    threading.Timer(0.02, speak).start()
    subject.flowing(ABUSER, bytes_more=20)
    with pytest.raises(DeadlinePassed, match="20 bytes more held"):
        subject.flowing(ABUSER, bytes_more=20, into=HOLDS)


@pytest.mark.parametrize("how", ["it holds", "it has ended"])
def test_a_client_that_takes_no_more_is_not_waited_for(subject: Steps, tmp_path: Path, how: str) -> None:
    client = streaming(subject, tmp_path, {"event": "holding", "delivered": 10, "held": 0})
    if how == "it has ended":
        client.events[-1]["event"], client.ended = "progress", True
    subject.flowing(ABUSER, bytes_more=20, into=HOLDS)
    assert subject.counter(ABUSER, HOLDS) == 0  # and yet it came back before the deadline
