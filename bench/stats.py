# SPDX-License-Identifier: GPL-2.0-only
"""Orders of measuring, medians, and how far they may be off. Pure; the same seed gives the same answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Round = dict[str, float]
"""One value of each variant, measured close to each other in time."""

SEED = 2026
RESAMPLES = 4000
COVERED = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that holds it with 95 % confidence; None where one round says nothing about spread."""

    value: float
    spread: tuple[float, float] | None
    n: int


def orders(names: Sequence[str], rounds: int, seed: int = SEED) -> list[tuple[str, ...]]:
    """The order of the variants in each round: every variant has every place equally often, behind changing others."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    found: list[tuple[str, ...]] = []
    while len(found) < rounds:
        shuffled = dice.sample(list(names), len(names))
        found += [tuple(shuffled[n:] + shuffled[:n]) for n in range(len(names))]
    return found[:rounds]


def estimate(rounds: Sequence[Round], name: str) -> Estimate:
    """Median of one variant. Raises ValueError without rounds."""
    return _bootstrapped(rounds, lambda some: median(r[name] for r in some))


def ratio(rounds: Sequence[Round], over: str, under: str) -> Estimate:
    """Median of one variant over that of another.

    Whole rounds are drawn again, so what a busy host does to both sides of a round cancels out. Raises ValueError
    without rounds, ZeroDivisionError when the median below is 0.
    """
    return _bootstrapped(rounds, lambda some: median(r[over] for r in some) / median(r[under] for r in some))


def _bootstrapped(rounds: Sequence[Round], figure: Callable[[Sequence[Round]], float]) -> Estimate:
    if not rounds:
        raise ValueError("nothing was measured")
    if len(rounds) == 1:
        return Estimate(figure(rounds), None, 1)
    dice = random.Random(SEED)  # noqa: S311 - no secret
    drawn = sorted(figure(dice.choices(rounds, k=len(rounds))) for _ in range(RESAMPLES))
    outside = int(RESAMPLES * (1 - COVERED) / 2)
    return Estimate(figure(rounds), (drawn[outside], drawn[-1 - outside]), len(rounds))
