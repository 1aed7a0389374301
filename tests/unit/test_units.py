# SPDX-License-Identifier: GPL-2.0-only
"""Deadlines, waiting, sizes in words; and errors that say what to try."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.errors import (
    BadInput,
    CommandFailed,
    DeadlinePassed,
    FetchFailed,
    GuestLost,
    HostTrouble,
    LabError,
    LabTrouble,
)
from lab.units import MIB, Deadline, mib, wait_until

NOW = timedelta()
SOON = timedelta(milliseconds=20)
LONG = timedelta(seconds=30)


def test_bytes_in_words() -> None:
    assert mib(256 * MIB) == "256.0 MiB"
    assert mib(MIB / 2) == "0.5 MiB"


def test_a_deadline_expires() -> None:
    assert Deadline.after("x", NOW).expired
    assert Deadline.after("x", NOW).remaining == 0.0
    ahead = Deadline.after("x", LONG)
    assert not ahead.expired
    assert 0 < ahead.remaining <= 30


def test_a_wait_ends_at_the_first_value() -> None:
    answers = iter([(None, "1"), (None, "2"), ("here", "3"), ("late", "4")])
    assert wait_until(lambda: next(answers), deadline=Deadline.after("it", LONG), pause=NOW) == "here"
    assert next(answers) == ("late", "4")


@pytest.mark.parametrize("value", [0, "", False, ()])
def test_only_none_means_not_yet(value: object) -> None:
    assert wait_until(lambda: (value, ""), deadline=Deadline.after("it", NOW)) == value


def test_a_passed_deadline_names_the_wait_and_what_was_seen_last() -> None:
    count = iter(range(10**9))

    def probe() -> tuple[None, object]:
        return None, f"{next(count)} of many"

    with pytest.raises(DeadlinePassed) as caught:
        wait_until(probe, deadline=Deadline.after("the flood", SOON), pause=timedelta(milliseconds=1))
    assert str(caught.value) == f"waited 0.02 s for the flood; last saw: {next(count) - 1} of many"


def test_a_wait_that_is_late_already_asks_once() -> None:
    asked: list[str] = []

    def probe() -> tuple[None, object]:
        asked.append("once")
        return None, ""

    with pytest.raises(DeadlinePassed):
        wait_until(probe, deadline=Deadline.after("it", NOW))
    assert asked == ["once"]


def test_what_a_probe_raises_comes_through() -> None:
    def probe() -> tuple[None, object]:
        raise GuestLost("gone")

    with pytest.raises(GuestLost):
        wait_until(probe, deadline=Deadline.after("it", LONG))


def test_whose_fault_it_is_stands_in_the_type() -> None:
    trouble = (HostTrouble, FetchFailed, DeadlinePassed, GuestLost, CommandFailed)
    assert all(issubclass(kind, LabTrouble) for kind in trouble)
    assert not issubclass(BadInput, LabTrouble)
    assert issubclass(BadInput, LabError)


def test_an_error_says_what_to_try() -> None:
    assert str(HostTrouble("no QEMU", hint="make setup")) == "no QEMU\n  try: make setup"
    assert str(HostTrouble("no QEMU")) == "no QEMU"


def test_bad_input_lists_all_its_problems() -> None:
    error = BadInput(["one", "two"], hint="three")
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo\n  try: three"


def test_a_failed_command_carries_itself_and_its_last_words() -> None:
    error = CommandFailed(["ip", "link"], 2, "\n".join(f"line {n}" for n in range(40)), where="the sender")
    assert str(error).startswith("on the sender, exit status 2: ip link\nline 25\n")
    assert str(error).endswith("line 39")
    assert (error.argv, error.status) == (("ip", "link"), 2)
