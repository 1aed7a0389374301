# SPDX-License-Identifier: GPL-2.0-only
"""Medians, ratios and their intervals against cases whose answer is known."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bench.stats import estimate, orders, ratio

NAMES = ("warm", "cold", "virtme_pair")


def test_every_variant_has_every_place_equally_often() -> None:
    found = orders(NAMES, 12)
    assert all(sorted(order) == sorted(NAMES) for order in found)
    assert set(Counter((order.index(name), name) for order in found for name in NAMES).values()) == {4}


def test_orders_differ_but_are_the_same_every_time() -> None:
    assert orders(NAMES, 9) == orders(NAMES, 9)
    assert len(set(orders(NAMES, 9))) > len(NAMES)  # not one rotation for ever: who runs behind whom changes too


def test_the_ratio_is_that_of_the_medians() -> None:
    rounds = [{"a": a, "b": b} for a, b in ((1.0, 10.0), (2.0, 20.0), (9.0, 30.0))]
    figure = ratio(rounds, "a", "b")
    assert figure.value == pytest.approx(2.0 / 20.0)
    assert figure.n == 3


def test_a_slow_host_that_hits_both_sides_leaves_the_ratio_alone() -> None:
    rounds = [{"a": 1.0 * busy, "b": 10.0 * busy} for busy in (1.0, 3.0, 1.5, 2.0, 1.2)]
    figure = ratio(rounds, "a", "b")
    assert figure.spread == pytest.approx((0.1, 0.1))
    alone = estimate(rounds, "a").spread
    assert alone is not None
    assert alone[1] > 1.9 * alone[0]


def test_one_round_has_no_spread() -> None:
    assert estimate([{"a": 4.0}], "a").spread is None
    assert ratio([{"a": 4.0, "b": 8.0}], "a", "b").spread is None


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        estimate([], "a")


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Log-normal noise around a known ratio; with 12 rounds the percentile bootstrap of a median is a little narrow."""
    dice = random.Random(1)
    held = 0
    for _ in range(60):
        rounds = [{"a": 2.0 * dice.lognormvariate(0, 0.2), "b": 10.0 * dice.lognormvariate(0, 0.2)} for _ in range(12)]
        spread = ratio(rounds, "a", "b").spread
        assert spread is not None
        held += spread[0] <= 0.2 <= spread[1]
    assert held >= 51
