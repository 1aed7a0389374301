# SPDX-License-Identifier: GPL-2.0-only
"""How often something is run again: as often as it takes, and no more often."""

from __future__ import annotations

import random

import pytest

from lab.stats.rates import ALPHA, MOST_RUNS, at_least
from lab.stats.repeats import MOST_SILENT, POWER, confirming, decisive, silence


@pytest.mark.parametrize(("passes", "runs"), [(15, 16), (30, 11), (50, 8), (100, 8)])
def test_a_failure_of_every_second_run_is_called(passes: int, runs: int) -> None:
    """By simulation, and one run less does not do."""
    assert decisive((0, passes), failing=True) == runs
    rng = random.Random(1)

    def called(number: int) -> float:
        failures = (sum(rng.random() < 0.5 for _ in range(number)) for _ in range(4000))
        return sum(at_least(failed, number, (0, passes)) < ALPHA for failed in failures) / 4000

    assert called(runs) > POWER - 0.02
    assert called(runs - 1) < POWER


def test_a_hope_is_a_fear_the_other_way_round() -> None:
    assert decisive((30, 30), failing=False) == decisive((0, 30), failing=True)
    assert decisive((0, 0), failing=True) == MOST_RUNS  # without a history nothing is another rate


def test_silence_is_run_again_until_it_is_no_bad_luck() -> None:
    assert silence(0, 100) == 2
    assert silence(0, 2) == 3
    assert silence(50, 100) == MOST_SILENT


def test_a_number_is_looked_at_again() -> None:
    assert confirming(1) == 1
    assert confirming(1000) == 1
    assert confirming(1_000_000) == 2
