# SPDX-License-Identifier: GPL-2.0-only
"""The rule for flakes, by simulation: how often it cries wolf in a year, and what it misses."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from lab.stats.flaky import WINDOW, Outcome, is_flaky, times_likelier

CELLS = 60


def outcomes(words: str, *, kernels: str = "") -> list[Outcome]:
    """By letters; each run on a kernel of its own, or on those named by a letter each."""
    return [Outcome(word == "F", kernels[at] if kernels else str(at)) for at, word in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "flaky"),
    [
        ("", False),
        ("P", False),
        ("F", False),
        ("PF", False),
        ("P" * 50, False),
        ("F" * 50, False),
        ("P" * 20 + "F" * 20, False),  # a regression is one change
        ("P" * 20 + "F" * 5 + "P" * 20, False),  # and was mended
        ("P" * 40 + "F" + "P" * 40, False),  # once is not flaky: one night's kernel was broken, perhaps
        ("P" * 20 + "F" + "P" * 20 + "F" + "P" * 20, True),
        ("PPFPP", False),  # too few to tell from a night that was mended
        ("PPFPPPFPPPPPFP", True),
        ("FPFPFPFP", True),
        ("FFFPFFFFFPFFFF", True),
        ("F" + "P" * 30 + "F" + "P" * WINDOW, False),  # that was long ago
    ],
)
def test_histories_that_anybody_would_call(words: str, flaky: bool) -> None:
    assert is_flaky(outcomes(words)) is flaky


def test_one_kernel_that_says_both_is_stronger_evidence_than_two() -> None:
    two, one = outcomes("PPPPF" * 2), outcomes("PPPPF" * 2, kernels="a" * 10)
    assert times_likelier(one) > 4 * times_likelier(two)
    assert not is_flaky(two)
    assert is_flaky(one)
    assert is_flaky(outcomes("PPPPPPPPPF", kernels="abcdefghii")) is False


def steady(rng: random.Random, nights: int, changes: float, lasts: float) -> Iterator[Outcome]:
    """A regression comes with one rate a night, and goes with another."""
    failing = False
    for night in range(nights):
        failing = rng.random() >= 1 / lasts if failing else rng.random() < changes
        yield Outcome(failing, str(night))


@pytest.mark.parametrize(
    ("changes", "lasts", "most"),
    [
        (1 / 365, 10, 0.02),  # a regression a year, mended in ten nights
        (4 / 365, 10, 0.05),
        (4 / 365, 30, 0.05),
        (12 / 365, 10, 0.15),  # one a month
    ],
)
def test_false_alarms_in_a_year_that_looks_every_night(changes: float, lasts: float, most: float) -> None:
    rng = random.Random(7)
    wrong = 0
    for _ in range(CELLS):
        year = list(steady(rng, 365, changes, lasts))
        turns = [night for night in range(1, 365) if year[night].failed != year[night - 1].failed]
        wrong += any(is_flaky(year[: turn + 1]) for turn in turns)  # between changes it can only look steadier
    assert wrong / CELLS <= most


@pytest.mark.parametrize(
    ("rate", "nights", "found"),
    [
        *((0.02, 100, 0.45), (0.05, 50, 0.5), (0.05, 100, 0.85), (0.1, 30, 0.6), (0.1, 50, 0.85), (0.1, 100, 0.97)),
        *((0.2, 30, 0.85), (0.3, 20, 0.85), (0.5, 10, 0.65)),
    ],
)
def test_what_is_flaky_is_found(rate: float, nights: int, found: float) -> None:
    rng = random.Random(7)
    histories = ([Outcome(rng.random() < rate, str(night)) for night in range(nights)] for _ in range(200))
    assert sum(map(is_flaky, histories)) / 200 >= found


def test_flakes_on_one_kernel_are_found_sooner() -> None:
    """Ten runs on one kernel, of which three in ten fail: repeats say more than nights do."""
    rng = random.Random(7)

    def share(kernel: str) -> float:
        told = ([Outcome(rng.random() < 0.3, kernel or str(at)) for at in range(10)] for _ in range(200))
        return sum(map(is_flaky, told)) / 200

    assert share("one") >= 0.6
    assert share("one") > share("")
