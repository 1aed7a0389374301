# SPDX-License-Identifier: GPL-2.0-only
"""What to run next, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.stats.history import History
from lab.stats.posterior import NONE_PRIOR, Posterior, Tally, posterior

CONFIDENCE = 0.99
ENDS = 3
"""Runs of each end before anything between them is built: a wrong bracket is told first."""

LEAST_GAIN = 1e-4
"""Bits that a run has to bring. Where none does, what remains cannot be told apart."""

NEGLIGIBLE = 1e-9

LEAST_SHARE = 0.25
"""Of what the best commit brings, what another one has to bring that is run beside it."""
MOST_PATTERNS = 16
"""Outcomes of runs at once that are thought on with."""


class Answer(StrEnum):
    """How a bisection stands."""

    CULPRIT = "culprit"
    NONE = "none"
    OPEN = "open"


def gain(belief: Posterior, commit: str) -> float:
    """Bits about the hypotheses that one run of this commit is expected to bring: their mutual information.

    By the rates that each hypothesis expects, and not by their mean: where a commit was run often, all hypotheses that
    are left expect of it what was seen, and one more run says nothing. What it teaches of the rates is left out.
    """
    parts = _rates(belief, commit)
    return max(0.0, _entropy(_mixed(parts)) - math.fsum(share * _entropy(rate) for share, rate in parts))


class Together:
    """What runs of several commits at once are expected to say: each hypothesis by what those that were taken may come
    to. Runs of one commit are told apart by how many fail."""

    def __init__(self, belief: Posterior, runs: int) -> None:
        """runs: of each commit that is taken; one that is taken twice has twice as many."""
        self._history = belief.history
        shares = [(i, share) for i, share in enumerate(belief.culprit) if share > NEGLIGIBLE]
        self._places = [i for i, _ in shares]
        rates = [belief.rates[i] for i in self._places]
        self._with = [_told(failing, runs) for failing, _ in rates]
        self._without = [_told(passing, runs) for _, passing in rates]
        self._unrelated = _told(belief.unrelated, runs)
        self._patterns = [[*(share for _, share in shares), belief.none]]

    def gain(self, commit: str) -> float:
        """Bits that its runs bring beside those of the commits that were taken, whatever those come to."""
        each = self._of(commit)
        return max(0.0, math.fsum(_bits(pattern, each) for pattern in self._patterns))

    def take(self, commit: str) -> None:
        """Have its runs among those at once. Of what they may come to, the likeliest is thought on with."""
        each = self._of(commit)
        outcomes = range(len(self._unrelated[0]))
        split = [
            [weight * chances[n] for weight, (chances, _) in zip(pattern, each, strict=True)]
            for pattern in self._patterns
            for n in outcomes
        ]
        self._patterns = sorted(split, key=sum, reverse=True)[:MOST_PATTERNS]

    def _of(self, commit: str) -> list[_Chances]:
        inside = self._history.contained(commit)
        sides = zip(self._places, self._with, self._without, strict=True)
        return [*(bad if inside >> i & 1 else good for i, bad, good in sides), self._unrelated]


_Chances = tuple[tuple[float, ...], float]
"""How likely no run fails, one, two ...; and the entropy of that, bits."""


def _told(rate: float, runs: int) -> _Chances:
    chances = tuple(math.comb(runs, n) * rate**n * (1 - rate) ** (runs - n) for n in range(runs + 1))
    return chances, -math.fsum(chance * math.log2(chance) for chance in chances if chance > 0)


def _bits(pattern: Sequence[float], each: Sequence[_Chances]) -> float:
    """Weights of hypotheses, and what each expects: their mutual information, times the sum of the weights."""
    whole = sum(pattern)
    mixed = [0.0] * len(each[0][0])
    known = 0.0
    for weight, (chances, bits) in zip(pattern, each, strict=True):
        known += weight * bits
        for n, chance in enumerate(chances):
            mixed[n] += weight * chance
    return -sum(share * math.log2(share / whole) for share in mixed if share > 0) - known


def at_once(
    belief: Posterior,
    first: str,
    candidates: Sequence[str],
    runs: int,
    most: int,
    seconds: Callable[[Sequence[str]], float],
) -> tuple[str, ...]:
    """The commits to be run at once so that most bits are brought a second, `first` among them; a commit that stands
    there twice is run twice as often. Each is the best beside those before it, whatever those come to.

    most     of them;  seconds  until those that are chosen are over: of what is at once, the longest counts
    """
    together = Together(belief, runs)
    brought = least = together.gain(first)
    chosen, best, rate = [first], 1, brought / seconds((first,))
    while len(chosen) < most:
        together.take(chosen[-1])
        gains = {commit: together.gain(commit) for commit in candidates}
        another = max(gains, key=gains.__getitem__, default="")
        if not another or gains[another] < max(LEAST_GAIN, LEAST_SHARE * least):
            break
        chosen.append(another)
        brought += gains[another]
        if (now := brought / seconds(chosen)) > rate:
            best, rate = len(chosen), now
    return tuple(chosen[:best])


def expected(belief: Posterior, commit: str) -> float:
    """The chance that one run of this commit fails."""
    return _mixed(_rates(belief, commit))


def _rates(belief: Posterior, commit: str) -> list[tuple[float, float]]:
    """Of each hypothesis its probability, and how often it expects this commit to fail."""
    inside = set(belief.history.indices(commit))
    parts = [
        (share, rates[i not in inside])
        for i, (share, rates) in enumerate(zip(belief.culprit, belief.rates, strict=True))
        if share > NEGLIGIBLE
    ]
    return [*parts, (belief.none, belief.unrelated)]


def _mixed(parts: Sequence[tuple[float, float]]) -> float:
    return math.fsum(share * rate for share, rate in parts)


def _entropy(rate: float) -> float:
    """Of one run that fails at this rate, bits."""
    return 0.0 if not 0 < rate < 1 else -rate * math.log2(rate) - (1 - rate) * math.log2(1 - rate)


@dataclass
class Bisection:
    """One search. `seen` is all that it knows, so that one which was stopped goes on from its record.

    skipped  commits that give no observation: they do not build, do not boot, or fail in another way
    twins    commits whose kernel is the very kernel of another commit, and that one: what is between them is innocent,
             and one of the two is run
    """

    history: History
    confidence: float = CONFIDENCE
    none: float = NONE_PRIOR
    seen: dict[str, Tally] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    twins: dict[str, str] = field(default_factory=dict)

    def observe(self, commit: str, *, failed: bool) -> None:
        """One run with a verdict: the sought failure was there or not."""
        name = self.twins.get(commit, commit)
        self.seen[name] = self.seen.get(name, Tally()) + Tally(int(failed), 1)

    def of(self, commit: str) -> Tally:
        """What was seen of this commit, or of its twin."""
        return self.seen.get(self.twins.get(commit, commit), Tally())

    def skip(self, commit: str) -> None:
        """Nothing can be learnt of this commit; its neighbours stand in."""
        self.skipped.add(commit)

    def belief(self) -> Posterior:
        """What the runs so far say."""
        cleared = 0
        for one, other in self.twins.items():
            cleared |= self.history.contained(one) ^ self.history.contained(other)
        return posterior(self.history, self.seen, self.none, cleared)

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
            if end not in self.skipped and self.of(end).runs < ENDS:
                return self.twins.get(end, end)
        usable = self.usable()
        gains = {commit: gain(belief, commit) for commit in usable}
        best = max(gains, key=lambda c: gains[c] / max(cost(c), 1e-9), default="")
        return best if best and gains[best] >= LEAST_GAIN else ""

    def usable(self) -> tuple[str, ...]:
        """Commits of which a run may say something."""
        every = (*self.history.suspects, self.history.good)
        return tuple(c for c in every if c not in self.skipped and c not in self.twins)

    def alike(self, belief: Posterior) -> tuple[str, ...]:
        """The suspects among which the culprit is at the confidence asked for, where no run can tell one of them from
        another: what is between them cannot be tested. Empty where runs still can."""
        masks = [self.history.contained(commit) for commit in self.usable()]
        groups: dict[tuple[bool, ...], list[int]] = {}
        for place, share in enumerate(belief.culprit):
            if share > 0:
                groups.setdefault(tuple(bool(mask >> place & 1) for mask in masks), []).append(place)
        for group in groups.values():
            if math.fsum(belief.culprit[place] for place in group) >= self.confidence:
                return tuple(self.history.suspects[place] for place in group)
        return ()
