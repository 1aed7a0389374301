# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.stats.numbers import ENOUGH, expected, moved, student
from lab.stats.rates import ALPHA, MOST_RUNS, at_least, at_most, by_chance, interval, runs_needed


@pytest.mark.parametrize(
    ("failed", "runs", "low", "high"),
    [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (1, 10, 0.018, 0.404), (35, 200, 0.129, 0.234), (0, 0, 0.0, 1.0)],
)
def test_an_interval_is_wilsons(failed: int, runs: int, low: float, high: float) -> None:
    """Values of Newcombe, Statistics in Medicine 17 (1998), table I, and of R's prop.test(correct=FALSE)."""
    assert interval(failed, runs) == pytest.approx((low, high), abs=0.001)


@given(st.integers(0, 60), st.integers(1, 60))
def test_an_interval_holds_the_rate(failed: int, runs: int) -> None:
    failed = min(failed, runs)
    low, high = interval(failed, runs)
    assert 0 <= low <= failed / runs <= high <= 1


def test_intervals_cover_what_they_say() -> None:
    rng = random.Random(3)
    held = 0
    for _ in range(2000):
        rate = rng.random()
        low, high = interval(sum(rng.random() < rate for _ in range(30)), 30)
        held += low <= rate <= high
    assert held / 2000 > 0.93


def test_how_likely_failures_are_after_a_history() -> None:
    assert at_least(0, 5, (0, 20)) == pytest.approx(1)
    assert at_least(1, 1, (0, 0)) == pytest.approx(0.5)
    assert at_least(1, 1, (0, 49)) == pytest.approx(0.01)
    assert at_least(2, 2, (0, 15)) == pytest.approx(0.5 * 1.5 / (16 * 17))
    assert at_most(0, 2, (15, 15)) == pytest.approx(at_least(2, 2, (0, 15)))
    assert at_least(3, 10, (30, 100)) > 0.3


def test_how_many_runs_it_takes_is_computed() -> None:
    assert runs_needed((0, 60), failing=True) == 1
    assert runs_needed((0, 15), failing=True) == 2
    assert runs_needed((0, 4), failing=True) == 3
    assert runs_needed((15, 15), failing=False) == 2
    assert runs_needed((5, 50), failing=True) > 1  # it failed now and then before
    assert runs_needed((49, 50), failing=True) == MOST_RUNS  # nobody could tell
    for before in ((0, 5), (0, 30), (3, 40)):
        needed = runs_needed(before, failing=True)
        assert at_least(needed, needed, before) < ALPHA <= at_least(needed - 1, needed - 1, before)


def test_false_alarms_of_a_rate_that_did_not_change() -> None:
    rng, called = random.Random(5), 0
    for _ in range(2000):
        rate = rng.choice((0.02, 0.1, 0.3))
        old, new = (sum(rng.random() < rate for _ in range(n)) for n in (40, 5))
        called += at_least(new, 5, (old, 40)) < ALPHA
    assert called / 2000 <= 2 * ALPHA


@pytest.mark.parametrize(
    ("share", "freedom", "value"), [(0.975, 7, 2.3646), (0.975, 30, 2.0423), (0.9995, 7, 5.4079), (0.9995, 20, 3.8495)]
)
def test_students_quantiles_are_those_of_tables(share: float, freedom: int, value: float) -> None:
    assert student(share, freedom) == pytest.approx(value, rel=0.02)


def test_a_number_that_moves_is_seen_and_one_that_does_not_is_not() -> None:
    rng = random.Random(11)
    alarms = seen = 0
    for _ in range(2000):
        history = [rng.gauss(250, 1.2) for _ in range(20)]
        alarms += moved(history, [rng.gauss(250, 1.2) for _ in range(2)], 0.1) is not None
        seen += moved(history, [rng.gauss(258, 1.2) for _ in range(2)], 0.1) is not None
    assert alarms / 2000 <= 0.004
    assert seen / 2000 >= 0.99


def test_what_moves_by_less_than_matters_did_not_move() -> None:
    history = [100.0] * 20
    assert moved(history, [100.9], 1.0) is None
    found = moved(history, [101.1], 1.0)
    assert found is not None
    assert (found.then, found.low, found.high) == (100.0, 99.0, 101.0)
    assert moved(history, [98.0], 1.0) is not None


def test_a_short_history_lets_nothing_be_expected() -> None:
    assert expected([1.0] * (ENOUGH - 1), 1) is None
    assert expected([1.0] * ENOUGH, 0) is None
    assert moved([1.0] * (ENOUGH - 1), [50.0], 0.1) is None


@pytest.mark.parametrize(
    ("more", "fewer", "chance"),
    [
        ((3, 4), (1, 4), 17 / 70),
        ((5, 5), (0, 5), 1 / 252),
        ((0, 5), (0, 5), 1.0),
        ((0, 6), (3, 6), 1.0),
        ((0, 0), (0, 0), 1),
    ],
)
def test_a_table_by_chance_is_fishers(more: tuple[int, int], fewer: tuple[int, int], chance: float) -> None:
    """The first is the lady who tasted tea (Fisher, 1935): 3 of 4 cups right, or all."""
    assert by_chance(more, fewer) == pytest.approx(chance)
