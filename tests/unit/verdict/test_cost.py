# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel costs, from the counts of both sides."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.bundle import parse
from lab.verdict.cost import compare, ratio, turns_of
from lab.verdict.model import Word
from tests.unit.verdict.builder import compared
from tests.unit.verdict.told import BACKGROUND, JITTER, WORK


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.001, 1.25])
def test_the_ratio_is_that_of_the_work_whatever_else_the_guests_execute(factor: float) -> None:
    told = compared(work=factor * WORK)
    verdict = told.verdict()
    assert verdict.word is Word.DONE, verdict.findings
    assert verdict.cost is not None
    assert verdict.cost.instructions.value == pytest.approx(factor, rel=2e-3)
    assert verdict.cost.per_mb[1] == pytest.approx(WORK, rel=2 * max(JITTER))
    assert verdict.cost.background > BACKGROUND  # the trickle itself is in it
    assert verdict.cost.rate.value == pytest.approx(1)


def test_a_kernel_costs_as_much_as_itself() -> None:
    verdict = compared(same=True).verdict()
    assert verdict.word is Word.DONE
    assert verdict.cost is not None
    assert verdict.cost.instructions.low <= 1 <= verdict.cost.instructions.high


def test_a_turn_is_its_client_and_its_couple_of_marks() -> None:
    told = compared()
    turns = turns_of(parse(told.files()))
    assert [t.client for t in turns] == [c.name for c in told.case.clients]
    assert [t.delivered for t in turns] == [c.deliver for c in told.case.clients]
    assert all(abs(t.clock - t.seconds) < 0.01 for t in turns)


def test_without_a_reference_there_is_no_cost() -> None:
    told = compared()
    told.reference = None
    assert compare(parse(told.files())) is None


@pytest.mark.parametrize(("n", "confidence", "cut"), [(5, 0.95, 0), (6, 0.95, 1), (14, 0.95, 22), (14, 0.999, 5)])
def test_the_ranks_at_which_the_interval_ends(n: int, confidence: float, cut: int) -> None:
    """From tables of the signed-rank statistic: critical values 0, 21 and 4, which is where the tail still fits."""
    values = [1.01**i for i in range(n)]
    averages = sorted((a + b) / 2 for i, a in enumerate(range(n)) for b in range(i, n))
    found = ratio(values, [1.0] * n, confidence=confidence)
    ends = (1.01 ** averages[cut - 1], 1.01 ** averages[-cut]) if cut else (0.0, math.inf)
    assert [found.low, found.high] == pytest.approx(list(ends))


def test_one_stalled_turn_does_not_carry_the_others_with_it() -> None:
    ours = [1 + j for j in JITTER * 2] + [1.0, 1.6]
    found = ratio(ours, [1.0] * 14, confidence=0.95)
    assert found.value == pytest.approx(1, abs=0.004)
    assert found.high < 1.01


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(1)
    hits = 0
    for _ in range(1000):
        ours, theirs = ([chance.lognormvariate(0, 0.02) for _ in range(14)] for _ in range(2))
        found = ratio(ours, theirs, confidence=0.95)
        hits += found.low <= 1 <= found.high
    assert 930 <= hits <= 975


@given(st.lists(st.floats(0.5, 2), min_size=6, max_size=20), st.floats(0.1, 10))
def test_swapping_the_sides_turns_the_ratio_over(values: list[float], scale: float) -> None:
    there = ratio(values, [scale] * len(values), confidence=0.95)
    back = ratio([scale] * len(values), values, confidence=0.95)
    assert there.value * back.value == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)
