# SPDX-License-Identifier: GPL-2.0-only
"""How often something has to be run again until it can be called."""

from __future__ import annotations

import math

from lab.stats.numbers import CONFIDENCE as MOVED_CONFIDENCE
from lab.stats.rates import ALPHA, MOST_RUNS, at_least

WORTH = 0.5
"""A new rate of failure that may not be overlooked."""
POWER = 0.95
"""... in so many of such cases."""
MOST_SILENT = 5
"""Runs in a row that say nothing; after these it is no bad luck."""


def decisive(before: tuple[int, int], *, failing: bool) -> int:
    """Runs after which it is decided whether a cell's rate is another one, be their words mixed or not.

    before   failures and runs so far;  failing  whether it is feared to fail now, or hoped to pass
    A cell that fails in half of its runs, which it did not, is called in POWER of the cases.
    """
    failed, runs = before if failing else (before[1] - before[0], before[1])
    for number in range(2, MOST_RUNS):
        called = next((k for k in range(1, number + 1) if at_least(k, number, (failed, runs)) < ALPHA), None)
        if called is not None and _at_least(called, number, WORTH) >= POWER:
            return number
    return MOST_RUNS


def _at_least(k: int, n: int, rate: float) -> float:
    return sum(math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k, n + 1))


def silence(silent: int, runs: int) -> int:
    """Runs without a verdict, one after the other, that are no bad luck: `silent` of `runs` gave none before."""
    rate = (silent + 0.5) / (runs + 1)
    return min(MOST_SILENT, max(2, math.ceil(math.log(ALPHA) / math.log(min(rate, 0.99)))))


def confirming(looks: int) -> int:
    """Further looks at a number that seems to have moved, until of `looks` at numbers that did not one a year is not
    believed: each is outside of its interval by chance with 1 - CONFIDENCE."""
    false = 1 - MOVED_CONFIDENCE
    return max(1, math.ceil(math.log(1 / max(2, looks)) / math.log(false)) - 1)
