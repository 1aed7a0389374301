# SPDX-License-Identifier: GPL-2.0-only
"""When a guest had no CPU time: tables of looks, and what they show."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lab.provision.gaps import STARVED, Gap, Gaps, Look, told


def looks(*spans: tuple[float, bool, float], every: float = 0.25) -> Iterable[Look]:
    """Spans of (seconds, stopped, share of the time that its vCPU waits)."""
    t = waited = 0.0
    yield Look(t, t, stopped=False, waited=0.0)
    for seconds, stopped, share in spans:
        for _ in range(round(seconds / every)):
            t, waited = t + every, waited + every * share
            yield Look(t, t, stopped=stopped, waited=waited)


def seen(some: Iterable[Look]) -> tuple[Gap, ...]:
    gaps = Gaps()
    for look in some:
        gaps.see(look)
    return gaps.take()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.85, STARVED - 0.01])
def test_a_guest_that_gets_its_share_had_no_gap(share: float) -> None:
    assert seen(looks((60, False, share))) == ()


def test_a_stop_is_told_with_its_length_and_its_place() -> None:
    (gap,) = seen(looks((5, False, 0.3), (22, True, 0.0), (5, False, 0.3)))
    assert gap.why == "was stopped"
    assert 22 <= gap.seconds <= 22.5
    assert (gap.began, gap.ended) == (5.0, 27.25)


def test_a_stop_of_less_than_a_second_is_none() -> None:
    assert seen(looks((5, False, 0.0), (0.5, True, 0.0), (5, False, 0.0))) == ()


def test_a_stop_that_goes_on_is_told_to_everybody_who_asks() -> None:
    gaps, some = Gaps(), list(looks((5, False, 0.0), (30, True, 0.0)))
    for look in some[:50]:
        gaps.see(look)
    (first,) = gaps.take()
    for look in some[50:]:
        gaps.see(look)
    (second,) = gaps.take()
    assert first.began == second.began == 5.0
    assert second.seconds > first.seconds > 1
    assert gaps.take() == ()


def test_two_stops_are_two() -> None:
    found = seen(looks((2, True, 0.0), (3, False, 0.0), (2, True, 0.0), (3, False, 0.0)))
    assert [gap.why for gap in found] == ["was stopped", "was stopped"]


def test_a_guest_that_hardly_gets_a_cpu_was_starved() -> None:
    (gap,) = seen(looks((5, False, 0.2), (30, False, 0.99), (5, False, 0.2)))
    assert gap.why == "had no CPU"
    assert gap.seconds == pytest.approx(30, abs=1)


def test_nine_seconds_without_a_cpu_are_not_enough() -> None:
    assert seen(looks((5, False, 0.2), (9, False, 1.0), (5, False, 0.2))) == ()


def test_a_wait_that_is_told_at_its_end_counts_whole() -> None:
    """The kernel adds it up when the thread gets a CPU again."""
    before = list(looks((12, False, 0.0)))
    after = Look(12.25, 12.25, stopped=False, waited=11.9)
    (gap,) = seen([*before, after])
    assert gap.why == "had no CPU"


@pytest.mark.parametrize(("t", "boot", "late"), [(6.0, 6.0, True), (0.2, 40.0, True), (4.0, 4.0, False)])
def test_a_watch_that_was_away_vouches_for_nothing(t: float, boot: float, *, late: bool) -> None:
    """The lab was stopped; or the host was suspended, which CLOCK_MONOTONIC does not see."""
    found = seen([Look(0, 0, stopped=False, waited=0), Look(t, boot, stopped=False, waited=0)])
    assert [gap.seconds for gap in found] == ([max(t, boot)] if late else [])


def test_gaps_are_told_in_a_sentence() -> None:
    some = (Gap("was stopped", 105, 107, 2), Gap("was stopped", 110, 132.04, 22.04), Gap("had no CPU", 140, 151, 11))
    assert told(some, 100) == (
        "its QEMU was stopped, 2 times, the longest for 22.0 s (10.0 to 32.0 s after it was started); "
        "its QEMU had no CPU for 11.0 s (40.0 to 51.0 s after it was started)"
    )
    assert told((), 100) == ""


def test_of_endless_gaps_the_last_are_kept() -> None:
    gaps = Gaps()
    for look in looks(*[(1.5, True, 0.0), (1.5, False, 0.0)] * 300):
        gaps.see(look)
    assert len(gaps.take()) == 100
