# SPDX-License-Identifier: GPL-2.0-only
"""The number of pairs: what is known best, and its neighbours when nobody has tried them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.plan.learnt import Rate
from lab.plan.pairs import Choice, choose, table

Known = dict[int, tuple[Rate, ...]]


def known(**rates: float) -> Known:
    return {int(name[1:]): (Rate(work),) for name, work in rates.items()}


@pytest.mark.parametrize(
    ("told", "most", "cpus", "pairs", "why"),
    [
        ({}, 4, 2, 2, "one pair a CPU"),
        ({}, 1, 8, 1, "one pair a CPU"),
        (known(n2=1.0), 4, 2, 3, "3 was never measured"),
        (known(n2=1.0, n3=1.5), 4, 2, 4, "4 was never measured"),
        (known(n2=1.0, n3=0.9), 4, 2, 1, "1 was never measured"),
        (known(n1=0.5, n2=1.0, n3=0.9), 4, 2, 2, "2 did best of 1, 2, 3"),
        (known(n1=0.5, n2=1.0, n3=1.2, n4=1.1), 4, 2, 3, "3 did best"),
        (known(n2=1.0, n3=9.0), 2, 2, 1, "1 was never measured"),  # 3 is not admitted now
        (known(n1=0.5, n2=1.0), 2, 2, 2, "2 did best of 1, 2"),
        (known(n3=1.0), 2, 2, 2, "one pair a CPU"),  # nothing is known of what is admitted
        (known(n1=1.0, n2=1.0, n3=1.0), 4, 2, 1, "1 did best"),  # no more guests than needed
        ({2: ()}, 4, 2, 2, "one pair a CPU"),
    ],
)
def test_the_best_known_or_a_neighbour_nobody_tried(told: Known, most: int, cpus: int, pairs: int, why: str) -> None:
    choice = choose(told, most, cpus)
    assert choice.pairs == pairs
    assert why in choice.why


def test_one_odd_session_does_not_decide() -> None:
    told = {1: (Rate(0.5),) * 2, 2: (Rate(1.0), Rate(0.1), Rate(1.1)), 3: (Rate(0.9),) * 3}
    assert choose(told, 4, 2).pairs == 2


def test_a_neighbour_gets_a_second_chance_once_the_best_is_sure() -> None:
    unlucky = {1: (Rate(0.5),) * 2, 2: (Rate(0.3),)}
    assert choose(unlucky, 2, 2).pairs == 1
    sure = {**unlucky, 1: (Rate(0.5),) * 3}
    assert choose(sure, 2, 2) == Choice(2, "1 did best so far, and 2 was measured only once")
    assert choose({**sure, 2: (Rate(0.3), Rate(0.8))}, 2, 2).pairs == 2
    assert choose({**sure, 2: (Rate(0.3), Rate(0.4))}, 2, 2).pairs == 1


def test_no_more_pairs_are_tried_where_runs_are_lost_already() -> None:
    assert choose({2: (Rate(1.0, 1),)}, 4, 2).pairs == 1
    assert choose({1: (Rate(0.5),), 2: (Rate(1.0, 1),)}, 4, 2).pairs == 2


@given(st.integers(1, 12), st.integers(1, 8), st.integers(1, 12))
def test_where_one_number_is_best_it_is_found_and_kept(most: int, cpus: int, peak: int) -> None:
    def yields(pairs: int) -> Rate:
        return Rate(10.0 - abs(pairs - min(peak, most)))

    assert climbed(yields, most, cpus) == min(peak, most)


def climbed(yields: Callable[[int], Rate], most: int, cpus: int) -> int:
    """What is chosen after as many sessions as there are numbers, and some to be sure."""
    told: Known = {}
    for _ in range(most + 8):
        pairs = choose(told, most, cpus).pairs
        assert 1 <= pairs <= most
        told[pairs] = (*told.get(pairs, ()), yields(pairs))
    return choose(told, most, cpus).pairs


def test_the_table_in_words() -> None:
    assert table({}) == "nothing yet"
    told = {3: (Rate(1.0), Rate(0.5, 2)), 1: (Rate(0.25),)}
    assert table(told) == "1: 0.25 in 1 session, 3: 0.75 in 2 sessions (2 lost)"
