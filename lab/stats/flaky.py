# SPDX-License-Identifier: GPL-2.0-only
"""When a cell is flaky: a rule over its history, and not a count.

Two stories are told of the same runs, and the likelier one is believed when it is much likelier:

    steady   each run gives the word of the one before; between kernels it changes with a rate that is small (once in a
             hundred nights, and nobody knows it exactly), on one kernel only when the lab errs (once in a hundred)
    flaky    each run fails with one rate, whatever came before; nobody knows which

A regression is one change, and one change is no flake. `tests/unit/stats` has what the rule misses and what it calls
flaky that is not, as figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.stats.rates import log_beta

WINDOW = 100
"""Runs that are looked at, the newest: what was mended a year ago is forgotten."""
NIGHTS = 100.0
"""One change of a steady cell in so many kernels, by the prior."""
SLIP = 0.01
"""A steady cell that gives another word on the same kernel."""
TIMES = 1000.0
"""How much likelier than `steady` the story `flaky` has to be: few cells are flaky, and a young history is short."""


@dataclass(frozen=True)
class Outcome:
    """A run that said something of a kernel. `kernel` is the same where nothing was changed in between."""

    failed: bool
    kernel: str


def times_likelier(history: Sequence[Outcome]) -> float:
    """How many times likelier `flaky` is than `steady`; below 1 when it is less so. 1 of no or one run."""
    recent = history[-WINDOW:]
    if len(recent) < 2:
        return 1.0
    return math.exp(min(700.0, _log_flaky(recent) - _log_steady(recent)))


def is_flaky(history: Sequence[Outcome]) -> bool:
    """Whether a cell is: oldest run first."""
    return times_likelier(history) > TIMES


def _log_flaky(runs: Sequence[Outcome]) -> float:
    """One rate, of which Jeffreys' prior is all that is known."""
    failed = sum(run.failed for run in runs)
    return log_beta(failed + 0.5, len(runs) - failed + 0.5) - log_beta(0.5, 0.5)


def _log_steady(runs: Sequence[Outcome]) -> float:
    """Changes between kernels at a rate with the prior Beta(1, NIGHTS - 1), slips on one kernel at a known one."""
    across = [a.failed != b.failed for a, b in pairwise(runs) if a.kernel != b.kernel]
    within = [a.failed != b.failed for a, b in pairwise(runs) if a.kernel == b.kernel]
    changes, slips = sum(across), sum(within)
    told = log_beta(1 + changes, NIGHTS - 1 + len(across) - changes) - log_beta(1, NIGHTS - 1)
    return math.log(0.5) + told + slips * math.log(SLIP) + (len(within) - slips) * math.log1p(-SLIP)
