# SPDX-License-Identifier: GPL-2.0-only
"""What to run next, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from lab.stats.history import History
from lab.stats.posterior import NONE_PRIOR, Posterior, Tally, posterior

CONFIDENCE = 0.99
ENDS = 3
"""Runs of each end before anything between them is built: a wrong bracket is told first."""

LEAST_GAIN = 1e-4
"""Bits that a run has to bring. Where none does, what remains cannot be told apart."""


class Answer(StrEnum):
    """How a bisection stands."""

    CULPRIT = "culprit"
    NONE = "none"
    OPEN = "open"


def gain(belief: Posterior, commit: str) -> float:
    """Bits about the hypotheses that one run of this commit is expected to bring: their mutual information.

    By the expected rates, so what a run teaches about the rates themselves is left out.
    """
    bad, none = belief.bad(commit), belief.none
    parts = (
        (bad, belief.failing),
        (max(0.0, 1 - none - bad), belief.passing),
        (none, belief.unrelated),
    )
    mixed = math.fsum(weight * rate for weight, rate in parts)
    return max(0.0, _entropy(mixed) - math.fsum(weight * _entropy(rate) for weight, rate in parts))


def _entropy(rate: float) -> float:
    """Of one run that fails at this rate, bits."""
    return 0.0 if not 0 < rate < 1 else -rate * math.log2(rate) - (1 - rate) * math.log2(1 - rate)


@dataclass
class Bisection:
    """One search. `seen` is all that it knows, so that one which was stopped goes on from its record.

    skipped  commits that give no observation: they do not build, do not boot, or fail in another way
    """

    history: History
    confidence: float = CONFIDENCE
    none: float = NONE_PRIOR
    seen: dict[str, Tally] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    def observe(self, commit: str, *, failed: bool) -> None:
        """One run with a verdict: the sought failure was there or not."""
        self.seen[commit] = self.seen.get(commit, Tally()) + Tally(int(failed), 1)

    def skip(self, commit: str) -> None:
        """Nothing can be learnt of this commit; its neighbours stand in."""
        self.skipped.add(commit)

    def belief(self) -> Posterior:
        """What the runs so far say."""
        return posterior(self.history, self.seen, self.none)

    def answer(self, belief: Posterior | None = None) -> tuple[Answer, str]:
        """Whether the confidence asked for is reached, and the culprit."""
        now = belief or self.belief()
        name, sure = now.likeliest
        if now.none >= self.confidence:
            return Answer.NONE, ""
        return (Answer.CULPRIT, name) if sure >= self.confidence else (Answer.OPEN, "")

    def proposed(self, cost: Callable[[str], float] = lambda _: 1.0) -> str:
        """The commit of which a run brings most bits for each second that it costs; "" when there is nothing to do.

        The ends come first. cost: expected seconds until a run of that commit has ended, its build included.
        """
        belief = self.belief()
        if self.answer(belief)[0] is not Answer.OPEN:
            return ""
        ends = (self.history.bad, self.history.good)
        for end in ends:
            if end not in self.skipped and self.seen.get(end, Tally()).runs < ENDS:
                return end
        usable = [c for c in (*self.history.suspects, self.history.good) if c not in self.skipped]
        gains = {commit: gain(belief, commit) for commit in usable}
        best = max(gains, key=lambda c: gains[c] / max(cost(c), 1e-9), default="")
        return best if best and gains[best] >= LEAST_GAIN else ""
