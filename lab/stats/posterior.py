# SPDX-License-Identifier: GPL-2.0-only
"""Which commit broke it, and how sure that is: a posterior over the suspects and over "none of them".

The hypotheses are: suspect i is the culprit, so that every tree that contains it fails at a rate p, and every other at
a rate g, where the odds of p are ODDS times those of g at least; or no commit is, and all trees fail at one rate r. No
rate is known. Each is summed out over a grid (Beta(1/2, 1/2) for r; Beta(3/2, 1/2) for p, as the failure was seen;
Beta(1/2, 7/2) for g, as a test that was fit to be watched seldom fails). Given a hypothesis, runs are independent, so
that only sums of fails and runs on either side matter.

Flakes make plain bisection wrong: of 13,600 breakages of a study 40 % had no culprit at all, and plain bisection named
one all the same (Henderson et al., "Flake Aware Culprit Finding", ICST 2023). That is why `none` is a hypothesis.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from lab.stats.history import History

NONE_PRIOR = 0.2
"""Before anything is run: the chance that no commit of the range is to blame."""

STEPS = 48
_RATES = tuple(math.sin(math.pi * (i + 0.5) / STEPS / 2) ** 2 for i in range(STEPS))
"""Points of equal weight under Beta(1/2, 1/2), the arcsine law."""
_SELDOM = tuple((1 - rate) ** 3 for rate in _RATES)
"""Weights that make it Beta(1/2, 7/2)."""
ODDS = 4.0
"""What makes less of a difference is no culprit: it could not be told from none."""
_UNDER = tuple(bisect_right(_RATES, rate / (rate + ODDS * (1 - rate))) for rate in _RATES)
"""By point of p: how many points of g it leaves."""
_FAIR = tuple(accumulate(_SELDOM, initial=0.0))
_PAIRS = math.fsum(rate * _FAIR[under] for rate, under in zip(_RATES, _UNDER, strict=True))


@dataclass(frozen=True)
class Tally:
    """How often the sought failure was seen in how many runs that had a verdict. Trouble of the lab is no run."""

    fails: int = 0
    runs: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fails <= self.runs:
            raise ValueError(f"{self.fails} of {self.runs} runs cannot have failed")

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.fails + other.fails, self.runs + other.runs)

    def __str__(self) -> str:
        """As the kernel test robot writes it: fail:runs."""
        return f"{self.fails}:{self.runs}"


@dataclass(frozen=True)
class Posterior:
    """What is believed after some runs. Probabilities, 0..1; all of them add up to 1.

    culprit   by suspect, in their order;  none  that no suspect is
    failing   expected rate of failing of a tree with the culprit, passing of one without it; `unrelated` the rate if
              there is no culprit
    rates     by suspect: both, if that one is the culprit. They differ a lot from one suspect to another
    """

    history: History
    culprit: tuple[float, ...]
    none: float
    failing: float
    passing: float
    unrelated: float
    rates: tuple[tuple[float, float], ...] = ()

    @property
    def likeliest(self) -> tuple[str, float]:
        """The suspect that most speaks against, and how much."""
        place = max(range(len(self.culprit)), key=self.culprit.__getitem__)
        return self.history.suspects[place], self.culprit[place]

    def bad(self, commit: str) -> float:
        """The probability that a tree of this commit contains the culprit."""
        return math.fsum(self.culprit[i] for i in self.history.indices(commit))

    def remaining(self, confidence: float) -> tuple[str, ...]:
        """The fewest suspects, oldest first, among which the culprit is at this confidence; all, where `none` is too
        likely for that."""
        left, kept = confidence, set[int]()
        for place in sorted(range(len(self.culprit)), key=lambda i: -self.culprit[i]):
            if left <= 0:
                break
            kept.add(place)
            left -= self.culprit[place]
        return tuple(name for i, name in enumerate(self.history.suspects) if i in kept)


def posterior(history: History, seen: Mapping[str, Tally], none: float = NONE_PRIOR, cleared: int = 0) -> Posterior:
    """What the runs of trees of these commits say. `seen` may hold the good end, any suspect, or nothing.

    cleared  suspects that cannot be the culprit whatever was seen, one bit each: they change nothing that is run
    """
    total = sum(seen.values(), Tally())
    places = range(len(history.suspects))
    accused = [i for i in places if not cleared >> i & 1]
    if not accused:
        rate = _one_rate(total).failing
        return Posterior(
            history, tuple(0.0 for _ in places), 1.0, rate, rate, rate, tuple((rate, rate) for _ in places)
        )
    sides: dict[Tally, _Split] = {}
    each: list[_Split] = []
    carried = _carried(history, seen)
    for with_it in (carried[i] for i in accused):
        if with_it not in sides:
            sides[with_it] = _split(with_it, Tally(total.fails - with_it.fails, total.runs - with_it.runs))
        each.append(sides[with_it])
    alone = _one_rate(total)
    share = (1 - none) / len(each)
    logs = [math.log(share) + split.log for split in each] + [math.log(none) + alone.log]
    most = max(logs)
    weights = [math.exp(log - most) for log in logs]
    whole = math.fsum(weights)
    *culprit, nobody = (weight / whole for weight in weights)
    blamed = math.fsum(culprit) or 1.0
    blame = dict(zip(accused, culprit, strict=True))
    by_place = {i: (split.failing, split.passing) for i, split in zip(accused, each, strict=True)}
    return Posterior(
        history,
        tuple(blame.get(i, 0.0) for i in places),
        nobody,
        failing=math.fsum(p * split.failing for p, split in zip(culprit, each, strict=True)) / blamed,
        passing=math.fsum(p * split.passing for p, split in zip(culprit, each, strict=True)) / blamed,
        unrelated=alone.failing,
        rates=tuple(by_place.get(i, (alone.failing, alone.failing)) for i in places),
    )


def _carried(history: History, seen: Mapping[str, Tally]) -> list[Tally]:
    """By suspect: the runs of trees that contain it."""
    sums = [Tally()] * len(history.suspects)
    for commit, tally in seen.items():
        for place in history.indices(commit):
            sums[place] += tally
    return sums


@dataclass(frozen=True)
class _Split:
    """Log of the likelihood of a hypothesis, and the rates expected under it."""

    log: float
    failing: float
    passing: float


@lru_cache(maxsize=10_000)
def _split(with_it: Tally, without: Tally) -> _Split:
    """Sums over all pairs of points, the outer one p, the inner sum accumulated."""
    high_log, high = _likelihood(with_it)
    low_log, low = _likelihood(without)
    high = [value * rate for value, rate in zip(high, _RATES, strict=True)]
    low = [value * weight for value, weight in zip(low, _SELDOM, strict=True)]
    below = [0.0, *accumulate(low)]  # below[k]: weight of the first k points of g
    means = [0.0, *accumulate(value * rate for value, rate in zip(low, _RATES, strict=True))]
    weights = [value * below[under] for value, under in zip(high, _UNDER, strict=True)]
    whole = math.fsum(weights)
    return _Split(
        math.log(whole / _PAIRS) + high_log + low_log,
        math.fsum(weight * rate for weight, rate in zip(weights, _RATES, strict=True)) / whole,
        math.fsum(value * means[under] for value, under in zip(high, _UNDER, strict=True)) / whole,
    )


def _one_rate(total: Tally) -> _Split:
    log, values = _likelihood(total)
    whole = math.fsum(values)
    rate = math.fsum(value * r for value, r in zip(values, _RATES, strict=True)) / whole
    return _Split(math.log(whole / STEPS) + log, rate, rate)


def _likelihood(tally: Tally) -> tuple[float, list[float]]:
    """Of these runs at each rate, as a log that is common to all and factors of 1 at most."""
    passes = tally.runs - tally.fails
    logs = [tally.fails * math.log(rate) + passes * math.log1p(-rate) for rate in _RATES]
    most = max(logs)
    return most, [math.exp(log - most) for log in logs]
