# SPDX-License-Identifier: GPL-2.0-only
"""How often something fails, how sure that is, and whether it is another rate now."""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95
ALPHA = 0.01
"""A change is called when a history like this gives such runs less often than that."""
MOST_RUNS = 50


def interval(failed: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a rate (Wilson's score, 1927); 0..1 of no runs."""
    if not runs:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = failed / runs, z * z / runs
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / runs + weight / (4 * runs))
    return (0.0 if failed == 0 else max(0.0, middle - half)), (1.0 if failed == runs else min(1.0, middle + half))


def at_least(failed: int, runs: int, before: tuple[int, int]) -> float:
    """How likely so many failures, or more, are, when `before` (failed, runs) had the same rate.

    The predictive distribution of that history with Jeffreys' prior: a beta-binomial. No history says 1/2 of one run.
    """
    old_failed, old_runs = before
    a, b = old_failed + 0.5, old_runs - old_failed + 0.5
    return min(1.0, sum(math.exp(_log_predictive(k, runs, a, b)) for k in range(failed, runs + 1)))


def at_most(failed: int, runs: int, before: tuple[int, int]) -> float:
    """The same of so many failures or fewer."""
    return at_least(runs - failed, runs, (before[1] - before[0], before[1]))


def by_chance(more: tuple[int, int], fewer: tuple[int, int]) -> float:
    """How likely the first would fail so much more often than the second, (failed, runs) each, if both failed alike.

    Fisher's exact test, one-sided.
    """
    failed, runs = more[0] + fewer[0], more[1] + fewer[1]
    ways = math.comb(runs, failed)
    worse = range(more[0], min(failed, more[1]) + 1)
    return sum(math.comb(more[1], k) * math.comb(fewer[1], failed - k) for k in worse) / ways


def runs_needed(before: tuple[int, int], *, failing: bool) -> int:
    """How many runs that all fail (or all pass) it takes to call that another rate; at most MOST_RUNS."""
    failed, runs = before
    other = (failed, runs) if failing else (runs - failed, runs)
    return next((n for n in range(1, MOST_RUNS) if at_least(n, n, other) < ALPHA), MOST_RUNS)


def _log_predictive(k: int, n: int, a: float, b: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + log_beta(a + k, b + n - k) - log_beta(a, b)


def log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
