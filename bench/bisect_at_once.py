# SPDX-License-Identifier: GPL-2.0-only
"""`python -m bench.bisect_at_once [SEARCHES] [COMMITS] [SEED]`: what it brings to run several suspects at once.

Whole searches by `lab bisect`'s engine, proof included, on seeded histories and dice. No guest is booted and nothing is
built: time is reckoned. A run takes 10 to 13 s, a pair 10 s, a session AROUND beside; a kernel is there, or is built in
11 to 214 s, one after the other, beside the runs where the engine asks for that. Each row has so many pairs; `one` runs
one suspect at a time, whose runs have all pairs, as before several could be. The dice of a search are the same in all
rows, but fall in another order.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench import bisect_policies
from lab.campaign.bisect.decide import BATCH, Means
from lab.campaign.bisect.engine import Engine, Told, UnfitError, Wanted
from lab.campaign.bisect.model import Asked, Budget, Outcome, Range, Search, Seen, Suspect
from lab.campaign.bisect.model import Told as Finding
from lab.campaign.bisect.wording import culprit_of
from lab.plan.order import over_after

AROUND, PAIR = 10.0, 10.0
RUN = (10.0, 13.0)
BUILD = (11.0, 214.0)
MOST_RUNS = 400
RATES = ((1.0, 0.0), (0.7, 0.01), (0.3, 0.01))
PAIRS = ((1, False), (2, False), (2, True), (4, False), (4, True))


@dataclass
class Reckoned:
    """A laboratory whose seconds are sums. several: whether the engine knows of all pairs."""

    world: bisect_policies.World
    pairs: int
    several: bool
    built: bool
    now: float = 0.0
    made: set[str] = field(default_factory=set)
    wanted: tuple[str, ...] = ()
    left: dict[str, float] = field(default_factory=dict)
    sessions: int = 0

    def building(self, name: str) -> float:
        """Seconds that are left of its build; the same for a kernel in each row."""
        if not self.built or name in self.made:
            return 0.0
        dice = random.Random(f"{name} {len(self.world.history.suspects)}")  # noqa: S311 - dice
        low, high = map(math.log, BUILD)
        return self.left.setdefault(name, math.exp(dice.uniform(low, high)))

    def make(self, suspect: Suspect) -> str:
        """What was begun is gone on with."""
        self.now += self.building(suspect.name)
        self.made.add(suspect.name)
        return suspect.name

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        """What is begun and not wanted any more is lost."""
        names = tuple(suspect.name for suspect in suspects)
        self.left = {name: left for name, left in self.left.items() if name in names}
        self.wanted = names

    def _meanwhile(self, seconds: float) -> None:
        for name in self.wanted:
            took = min(seconds, self.building(name))
            seconds -= took
            if took == self.building(name):
                self.made.add(name)
            else:
                self.left[name] -= took

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        return ()

    def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Told) -> None:
        self.sessions += 1
        name = f"s{self.sessions}"
        begun(name, {suspect.name: suspect.name for suspect, _ in wanted})
        lengths = {suspect.name: [self.world.dice.uniform(*RUN) for _ in range(times)] for suspect, times in wanted}
        whole = [(PAIR + sum(runs)) for runs in lengths.values()]
        each = [PAIR + run for runs in lengths.values() for run in runs]

        best = min(whole, each, key=lambda batches: over_after(batches, self.pairs) + sum(batches) / self.pairs)
        seconds = AROUND + over_after(best, self.pairs)
        self.now += seconds
        self._meanwhile(seconds)
        for suspect, runs in lengths.items():
            for number in range(len(runs)):
                fails = self.world.fails(suspect)
                finding = (Finding("rule", "FAIL", "it failed"),) if fails else ()
                told(
                    suspect,
                    Seen(f"{suspect}-{number}", name, "FAIL" if fails else "PASS", finding, seconds=runs[number]),
                )

    def left_by(self, session: str) -> Sequence[tuple[str, Seen]]:
        return ()

    def revert(self, search: Search, culprit: str) -> str:
        raise UnfitError("not here")

    def means(self) -> Means:
        run = sum(RUN) / 2
        return Means(
            cost=lambda name: PAIR / BATCH + run + self.building(name) / BATCH,
            making=self.building,
            pairs=self.pairs if self.several else 1,
            run=run,
            pair=PAIR,
            around=AROUND,
        )


@dataclass
class Score:
    """Of one row."""

    wrong: int = 0
    open: int = 0
    runs: int = 0
    seconds: float = 0.0
    sessions: int = 0

    def add(self, made: Reckoned, search: Search) -> None:
        """Take how a search ended."""
        self.runs += search.paid
        self.seconds += made.now
        self.sessions += made.sessions
        if search.ended is Outcome.OPEN:
            self.open += 1
        elif culprit_of(search) != made.world.culprit:
            self.wrong += 1


def searched(
    number: int, seed: int, commits: int, rates: tuple[float, float], row: tuple[int, bool], built: bool
) -> tuple[Reckoned, Search]:
    """One search to its end."""
    rng = random.Random(seed * 1_000_003 + number)  # noqa: S311 - dice
    history = bisect_policies.history(rng, commits)
    culprit = "" if rng.random() < bisect_policies.NO_CULPRIT else rng.choice(history.suspects)
    world = bisect_policies.World(history, culprit, *rates, random.Random(rng.random()))  # noqa: S311
    suspects = tuple(
        Suspect(name, name, parents=parents or (history.good,)) for name, parents in history.parents.items()
    )
    asked = Asked("commits", "hold", "virtio", budget=Budget(runs=MOST_RUNS))
    search = Search(asked, Range("commits", Suspect(history.good, history.good), suspects), "")
    made = Reckoned(world, *row, built)
    return made, Engine(search, made, lambda _: None, clock=lambda: made.now).go()


def main(words: Sequence[str]) -> int:
    """Measure and print."""
    searches, commits, seed = ([int(word) for word in words] + [20, 32, 1][len(words) :])[:3]
    print(
        f"{searches} searches among {commits} commits, {bisect_policies.NO_CULPRIT:.0%} without a culprit, seed {seed}"
    )
    print(
        "| kernels | fails with the bug, without | pairs | at a time | wrong | no answer | runs | sessions | minutes |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for built in (False, True):
        for rates in RATES:
            for row in PAIRS:
                score = Score()
                for number in range(searches):
                    score.add(*searched(number, seed, commits, rates, row, built))
                print(
                    f"| {'built' if built else 'there'} | {rates[0]:.0%}, {rates[1]:.0%} | {row[0]} "
                    f"| {'several' if row[1] else 'one'} | {score.wrong / searches:.1%} | {score.open / searches:.1%} "
                    f"| {score.runs / searches:.1f} | {score.sessions / searches:.1f} "
                    f"| {score.seconds / searches / 60:.1f} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
