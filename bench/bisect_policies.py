# SPDX-License-Identifier: GPL-2.0-only
"""`python -m bench.bisect_policies [SEARCHES] [SEED]`: ways to bisect, on the same seeded histories and dice.

No guest is booted: a run is a throw of a die whose rate is known. Each row of the table is a policy at one rate of
failing with the bug and without it. In a share of the histories no commit is to blame: all trees fail alike, half as
often. Told are wrong answers (an innocent commit, a culprit where there is none, or `none` where there is one),
searches that ended without an answer, and runs a search. Then, of our own policy: how often is true what it believes
at first with some probability.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lab.stats.bisection import CONFIDENCE, LEAST_GAIN, Answer, Bisection, gain
from lab.stats.history import History
from lab.stats.posterior import NONE_PRIOR, Tally

COMMITS, MERGED, MOST_RUNS = 64, 0.2, 400
NO_CULPRIT = 0.3
RATES = ((1.0, 0.0), (1.0, 0.05), (0.7, 0.0), (0.7, 0.01), (0.3, 0.0), (0.3, 0.01), (0.3, 0.05), (0.1, 0.0))
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)


@dataclass
class World:
    """A history, who is to blame ("" for nobody), and dice; it counts the runs that are asked of it."""

    history: History
    culprit: str
    failing: float
    passing: float
    dice: random.Random
    runs: int = 0
    contained: dict[str, bool] = field(default_factory=dict)

    @property
    def flake(self) -> float:
        """How often a tree without the bug fails."""
        return self.passing if self.culprit else max(self.failing / 2, self.passing)

    def fails(self, commit: str) -> bool:
        """One run of a commit's tree."""
        self.runs += 1
        if not self.culprit:
            return self.dice.random() < self.flake
        bad = self.contained.get(commit)
        if bad is None:
            suspects = self.history.suspects
            bad = any(suspects[i] == self.culprit for i in self.history.indices(commit))
            self.contained[commit] = bad
        return self.dice.random() < (self.failing if bad else self.passing)


Told = tuple[Answer, str]
Policy = Callable[[World], Told]


def history(rng: random.Random, commits: int = COMMITS) -> History:
    """So many suspects; now and then a side branch of a few is merged."""
    parents: dict[str, tuple[str, ...]] = {}
    tip: tuple[str, ...] = ()
    while len(parents) < commits:
        side = tip
        if parents and rng.random() < MERGED and len(parents) < commits - 6:
            for _ in range(rng.randint(1, 3)):
                name = str(len(parents))
                parents[name], side = side, (name,)
        name = str(len(parents))
        parents[name], tip = tuple(dict.fromkeys((*tip, *side))), (name,)
    return History("good", parents)


def halving(is_bad: Callable[[World, str], bool]) -> Policy:
    """Plain bisection: a commit is judged once, and believed."""

    def search(world: World) -> Told:
        history = world.history
        left = (1 << len(history.suspects)) - 1
        while left.bit_count() > 1:
            half = left.bit_count() / 2
            choice = min(
                history.suspects[:-1],
                key=lambda c: abs((history.contained(c) & left).bit_count() - half),
            )
            inside = history.contained(choice) & left
            if not inside or inside == left:
                break
            left = inside if is_bad(world, choice) else left & ~inside
        return Answer.CULPRIT, history.suspects[left.bit_length() - 1]

    return search


def once(world: World, commit: str) -> bool:
    """One run, believed."""
    return world.fails(commit)


def retried(world: World, commit: str) -> bool:
    """A failure has to show three times in a row; one pass is enough for good."""
    return all(world.fails(commit) for _ in range(3))


def ten(world: World, commit: str) -> bool:
    """Ten runs, whatever they say; any failure is bad."""
    return sum(world.fails(commit) for _ in range(10)) > 0


def ours(choose: Callable[[Bisection], str]) -> Policy:
    """The posterior, at 99 %."""

    def search(world: World) -> Told:
        bisection = Bisection(world.history)
        while world.runs < MOST_RUNS and (commit := choose(bisection)):
            bisection.observe(commit, failed=world.fails(commit))
        return bisection.answer()

    return search


def middle(bisection: Bisection) -> str:
    """The suspect that halves what is believed, where the ends leave it open; no look at what a run would bring."""
    if not (proposed := bisection.proposed()):
        return ""
    belief, history = bisection.belief(), bisection.history
    if min(bisection.seen.get(end, Tally()).runs for end in (history.bad, history.good)) < 3:
        return proposed
    half = (1 - belief.none) / 2
    best = min((*history.suspects, history.good), key=lambda commit: abs(belief.bad(commit) - half))
    return best if gain(belief, best) > 0 else proposed


LEAST_FLAKE = 0.001
"""Where a test never fails without the bug, "none" would be impossible."""


def flake_rate_known(world: World) -> Told:
    """As flake-aware culprit finding has it (Henderson et al., ICST 2023): what has the bug always fails, what has it
    not fails at the flake rate, of which history knows. Here that is the true one; and that the bad end failed once and
    the good one passed is given, as it is to plain bisection."""
    history, flake = world.history, max(LEAST_FLAKE, world.flake)
    weights = [*[(1 - NONE_PRIOR) / len(history.suspects)] * len(history.suspects), NONE_PRIOR * flake * (1 - flake)]
    commits = (*history.suspects, history.good)
    inside = {commit: history.contained(commit) for commit in commits}
    while True:
        whole = math.fsum(weights)
        weights = [weight / whole for weight in weights]
        best = max(range(len(weights)), key=weights.__getitem__)
        if weights[best] >= CONFIDENCE:
            none = best == len(history.suspects)
            return (Answer.NONE, "") if none else (Answer.CULPRIT, history.suspects[best])
        bad = {commit: math.fsum(w for i, w in enumerate(weights) if inside[commit] >> i & 1) for commit in commits}
        brings = {
            commit: _entropy(share + (1 - share) * flake) - (1 - share) * _entropy(flake)
            for commit, share in bad.items()
        }
        commit = max(commits, key=brings.__getitem__)
        if world.runs >= MOST_RUNS or brings[commit] < LEAST_GAIN:
            return Answer.OPEN, ""
        failed = world.fails(commit)
        with_it, without = (1.0, flake) if failed else (0.0, 1 - flake)
        weights = [weight * (with_it if inside[commit] >> i & 1 else without) for i, weight in enumerate(weights)]


def _entropy(rate: float) -> float:
    return -math.fsum(p * math.log2(p) for p in (rate, 1 - rate) if p > 0)


POLICIES: dict[str, Policy] = {
    "one run": halving(once),
    "failures retried": halving(retried),
    "ten runs": halving(ten),
    "flake rate known": flake_rate_known,
    "posterior, middle": ours(middle),
    "posterior, most bits": ours(Bisection.proposed),
}


@dataclass
class Score:
    """Of one policy at one pair of rates."""

    wrong: int = 0
    open: int = 0
    runs: int = 0

    def add(self, world: World, told: Told) -> None:
        """Take what a search answered."""
        answer, named = told
        self.runs += world.runs
        if answer is Answer.OPEN:
            self.open += 1
        elif (answer is Answer.NONE) != (not world.culprit) or named != world.culprit:
            self.wrong += 1


@dataclass
class Level:
    """Of all searches, those that once believed something so much, and those of them in which it was true."""

    reached: int = 0
    right: int = 0


def calibrated(failing: float, passing: float, searches: int, seed: int, levels: dict[float, Level]) -> None:
    """What our own policy believes at first with each of these probabilities: is it true as often?"""
    for world in worlds(failing, passing, searches, seed):
        bisection, left = Bisection(world.history), sorted(levels)
        while left and world.runs < MOST_RUNS and (commit := bisection.proposed()):
            bisection.observe(commit, failed=world.fails(commit))
            belief = bisection.belief()
            share, named = max((belief.none, ""), *zip(belief.culprit, world.history.suspects, strict=True))
            while left and share >= left[0]:
                level = levels[left.pop(0)]
                level.reached += 1
                level.right += named == world.culprit


def worlds(failing: float, passing: float, searches: int, seed: int) -> Iterator[World]:
    """The same for every policy."""
    for number in range(searches):
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311 - dice
        made = history(rng)
        culprit = "" if rng.random() < NO_CULPRIT else rng.choice(made.suspects)
        yield World(made, culprit, failing, passing, random.Random(rng.random()))  # noqa: S311


def measure(policy: Policy, failing: float, passing: float, searches: int, seed: int) -> Score:
    """All searches of one policy; the histories and the dice are those of every other."""
    score = Score()
    for world in worlds(failing, passing, searches, seed):
        score.add(world, policy(world))
    return score


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    searches, seed = ([int(word) for word in words] + [40, 1][len(words) :])[:2]
    print(f"{searches} searches among {COMMITS} commits, {NO_CULPRIT:.0%} without a culprit, seed {seed}")
    print(f"{'fails with bug, without':24} {'policy':22} {'wrong':>7} {'open':>7} {'runs':>7}")
    for failing, passing in RATES:
        for name, policy in POLICIES.items():
            score = measure(policy, failing, passing, searches, seed)
            shares = f"{score.wrong / searches:7.1%} {score.open / searches:7.1%} {score.runs / searches:7.1f}"
            print(f"{failing:12.0%} {passing:11.0%} {name:22} {shares}", flush=True)
    levels = {level: Level() for level in LEVELS}
    for failing, passing in RATES:
        calibrated(failing, passing, searches, seed, levels)
    print("believed at first with, searches, right")
    for share, level in levels.items():
        print(f"{share:.0%} {level.reached} {level.right / max(1, level.reached):.1%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
