# SPDX-License-Identifier: GPL-2.0-only
"""How full a channel is."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.plan.channels import CONSOLE, HEADROOM, INSTRUCTIONS, OUTPUT, READY_PORT, TELEMETRY, Bucket, Cap
from lab.units import KIB, MIB

SMALL = Cap("port", size=100, rate=10, lines=10, line_rate=1, width=40)
CAPS = (CONSOLE, TELEMETRY, INSTRUCTIONS, READY_PORT, OUTPUT)


def test_what_is_said_in_time_never_fills_a_channel() -> None:
    bucket = Bucket(SMALL)
    assert not any(bucket.hear(float(second), b"a" * 9 + b"\n") for second in range(10_000))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ((b"a" * 9 + b"\n") * 11, "the port was given more than 0.0 MiB at once"),
        (b"\n" * 11, "the port was given more than 10 lines at once, and 1 a second after that"),
        (b"a" * 41, "the port was given a line of more than 0 KiB"),
    ],
)
def test_each_bound_is_told_and_stays(data: bytes, why: str) -> None:
    bucket = Bucket(SMALL)
    assert bucket.hear(0.0, data).startswith(why)
    assert bucket.hear(1e6, b"").startswith(why)


def test_up_to_the_bounds_all_is_well() -> None:
    assert not Bucket(SMALL).hear(0.0, (b"a" * 9 + b"\n") * 10)
    assert not Bucket(SMALL).hear(0.0, b"a" * 40 + b"\n")


def test_a_line_is_as_long_however_it_comes() -> None:
    bucket = Bucket(SMALL)
    assert not bucket.hear(0.0, b"ab\n" + b"a" * 30)
    assert bucket.hear(1.0, b"a" * 11)


def test_what_was_not_used_is_not_saved_up() -> None:
    bucket = Bucket(SMALL)
    bucket.add(0.0, size=1)
    assert bucket.add(1e6, size=101)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 60)), max_size=40))
def test_no_more_than_its_size_and_its_rate_gets_through(said: list[tuple[float, int]]) -> None:
    bucket, carried, now = Bucket(SMALL), 0, 0.0
    for pause, size in said:
        now += pause
        if bucket.add(now, size=size):
            return
        carried += size
    assert carried <= SMALL.size + SMALL.rate * now + 1e-6


def test_a_flood_of_newlines_takes_no_memory() -> None:
    """A list of its lines would take 50 bytes for each of them."""
    data = b"\n" * (8 * MIB)
    tracemalloc.start()
    assert Bucket(CONSOLE).hear(0.0, data)
    assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()


@pytest.mark.parametrize("cap", CAPS, ids=lambda cap: cap.name)
def test_an_ordinary_guest_stays_far_from_every_bound(cap: Cap) -> None:
    """Per second: the most that a sound guest was seen to say, ten times over where time allows that."""
    ordinary = {"console": (KIB, 10), "telemetry": (40 * KIB, 20), "instructions": (200, 2), "ready port": (100, 1)}
    size, lines = ordinary.get(cap.name, (4 * KIB, 10))
    assert cap.rate >= 5 * size
    assert cap.line_rate >= 5 * lines
    assert cap.size < HEADROOM
