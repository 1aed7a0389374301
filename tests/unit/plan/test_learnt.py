# SPDX-License-Identifier: GPL-2.0-only
"""What sessions teach, and what is made of it. A file that cannot be read teaches nothing."""

from __future__ import annotations

import json

import pytest

from lab.plan.learnt import (
    KEPT,
    Learnt,
    Lesson,
    Rate,
    as_learnt,
    as_record,
    duration_key,
    host_key,
    kernel_kind,
    learn,
)
from tests.known import run_of

HOLD = run_of("hold")
KEY = duration_key("hold", "virtio", "given", "tcg")
HOST = host_key(2, 24093, "tcg", "7.2.22")


def lesson(session: str, seconds: float, work: float | None = None, pairs: int = 2) -> Lesson:
    return Lesson(session, HOST, pairs, ((KEY, seconds),), None if work is None else Rate(work))


def test_the_median_of_the_last_runs_wins_over_the_table() -> None:
    known = Learnt()
    assert known.seconds(HOLD, "given", "tcg") == HOLD.seconds
    for n, seconds in enumerate((90.0, 1.0, 2.0, 3.0, 4.0, 400.0)):
        known = learn(known, lesson(str(n), seconds))
    assert len(known.durations[KEY]) == KEPT
    assert known.seconds(HOLD, "given", "tcg") == 3.0
    for kind, accelerator in (("built", "tcg"), ("given", "kvm")):
        assert known.seconds(HOLD, kind, accelerator) == HOLD.seconds


def test_how_long_a_pair_takes_is_known_once_it_was_seen() -> None:
    assert Learnt().pair_seconds(HOLD, "given", "tcg", 9.0) == 9.0
    seen = Lesson("s", HOST, 2, ((duration_key("pair", "virtio", "given", "tcg"), 1.5),), None)
    assert learn(Learnt(), seen).pair_seconds(HOLD, "given", "tcg", 9.0) == 1.5


def test_no_session_teaches_twice() -> None:
    once = learn(Learnt(), lesson("s", 3.0, 0.5))
    assert learn(once, lesson("s", 9.0, 0.9)) == once
    assert learn(once, lesson("t", 9.0, 0.9)).rates == {HOST: {2: (Rate(0.5), Rate(0.9))}}


def test_a_session_that_says_nothing_of_the_pairs_leaves_the_rates_alone() -> None:
    assert learn(Learnt(), lesson("s", 3.0)).rates == {}


def test_what_is_written_is_read_back() -> None:
    known = learn(learn(Learnt(), lesson("s", 3.0, 0.5)), lesson("t", 4.0, 0.25, pairs=3))
    assert as_learnt(json.loads(json.dumps(as_record(known)))) == known


@pytest.mark.parametrize(
    "data",
    [
        b'{"durations":{"x":[-1]}}',
        b'{"durations":{"x":["NaN"]}}',
        b'{"durations":{"x":"long"}}',
        b'{"rates":{"h":{"two":[]}}}',
        b'{"rates":{"h":{"2":[{"work":1,"lost":-1}]}}}',
        b'{"more":1}',
    ],
)
def test_what_no_session_taught_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's own words
        as_learnt(json.loads(data))


def test_a_kernel_is_as_fast_as_it_was_built() -> None:
    assert kernel_kind("", ()) == "given"
    assert kernel_kind("linux-6.12", ("small", "debug")) == kernel_kind("linux-6.12", ("debug", "small"))
    assert kernel_kind("linux-6.12", ("debug",)) != kernel_kind("linux-6.12", ())


def test_hosts_differ_by_what_makes_them_faster() -> None:
    assert host_key(2, 24093, "tcg", "7.2.22") == host_key(2, 24100, "tcg", "7.2.22")
    assert len({HOST, host_key(4, 24093, "tcg", "7.2.22"), host_key(2, 24093, "kvm", "7.2.22")}) == 3
