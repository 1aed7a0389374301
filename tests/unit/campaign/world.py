# SPDX-License-Identifier: GPL-2.0-only
"""A laboratory without guests, at the one seam an engine has: these runs of this kernel came to these verdicts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from lab.campaign.bisect.decide import Means
from lab.campaign.bisect.engine import Engine, UnfitError, Wanted
from lab.campaign.bisect.engine import Told as Tells
from lab.campaign.bisect.model import REVERT, Asked, Budget, Kind, Range, Search, Seen, Suspect, Told
from lab.campaign.bisect.record import load, save

SESSION = "session-{}"


def run_of(word: str, number: int, session: str, rule: str = "charged", frames: tuple[str, ...] = ()) -> Seen:
    """A run with one finding that explains its word."""
    told = (Told(rule, word, f"{rule} said so", frames),) if word in ("FAIL", "ERROR", "MISS") else ()
    return Seen(
        f"run-{number}",
        session,
        word,
        told,
        fault=rule == "kernel-alive" and word == "FAIL",
        incidents=("boot",) if rule == "boot" else (),
        why="" if word == "PASS" else f"{rule} said so",
        seconds=10.0,
        reproduce="lab run hold",
    )


@dataclass
class World:
    """What is true: who is to blame ("" for nobody), how often kernels with and without it fail, and what breaks.

    broken   by suspect, why it does not build;  odd  by suspect, the runs that it gives instead of any other
    same     by suspect, the key of its kernel where that is not its own
    stop_at  the run in which this process is killed;  cut_at  that in which a signal ends it
    pairs    that are free;  sessions_of  suspects of each session
    beside   kernels that are made beside the runs;  guesses  what was asked for, batch by batch
    """

    range: Range
    culprit: str
    failing: float = 1.0
    passing: float = 0.0
    seed: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    odd: dict[str, tuple[str, str]] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    known: dict[str, list[Seen]] = field(default_factory=dict)
    stop_at: int = 0
    cut_at: int = 0
    made: list[str] = field(default_factory=list)
    beside: tuple[str, ...] = ()
    guesses: list[tuple[str, ...]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    left: dict[str, list[tuple[str, Seen]]] = field(default_factory=dict)
    unclean: str = ""
    pairs: int = 1
    sessions_of: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.sessions = 0

    def make(self, suspect: Suspect) -> str:
        self.made.append(suspect.name)
        if suspect.name in self.broken:
            raise UnfitError(self.broken[suspect.name])
        return self.same.get(suspect.name, suspect.name)

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        self.beside = tuple(suspect.name for suspect in suspects)
        self.guesses.append(self.beside)

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        return self.known.get(suspect.name, ())

    def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Tells) -> None:
        self.sessions += 1
        session = SESSION.format(self.sessions)
        self.sessions_of.append(tuple(suspect.name for suspect, _ in wanted))
        begun(session, {f"as-{suspect.kernel}": suspect.name for suspect, _ in wanted})
        most = max(times for _, times in wanted)
        for number in range(most):  # in turns
            for suspect, times in wanted:
                if number < times:
                    told(suspect.name, self._over(suspect, session))

    def _over(self, suspect: Suspect, session: str) -> Seen:
        self.runs.append(suspect.name)
        seen = self._one(suspect.name, session)
        self.left.setdefault(session, []).append((f"as-{suspect.kernel}", seen))
        if len(self.runs) == self.stop_at:
            raise KilledError
        if len(self.runs) == self.cut_at:
            raise KeyboardInterrupt
        return seen

    def _one(self, name: str, session: str) -> Seen:
        number = len(self.runs)
        if name in self.odd:
            word, rule = self.odd[name]
            return run_of(word, number, session, rule)
        rate = self.failing if self.is_bad(name) else self.passing
        return run_of("FAIL" if self.dice.random() < rate else "PASS", number, session)

    def is_bad(self, name: str) -> bool:
        if name == REVERT or not self.culprit:
            return False
        suspects = self.range.history.suspects
        return any(suspects[i] == self.culprit for i in self.range.history.indices(name))

    def left_by(self, session: str) -> Sequence[tuple[str, Seen]]:
        return self.left.get(session, ())

    def revert(self, search: Search, culprit: str) -> str:
        if self.unclean:
            raise UnfitError(self.unclean)
        return f"without-{culprit}"

    def means(self) -> Means:
        """A run takes 10 s, a kernel a minute."""
        return Means(
            lambda name: 10 + self._making(name) / 2, self._making, self.pairs, run=10.0, pair=10.0, around=10.0
        )

    def _making(self, name: str) -> float:
        return 0.0 if name in self.made else 60.0


class KilledError(Exception):
    """As kill -9 does, this leaves nobody time to note anything."""


def line_of(number: int, kind: Kind = "commits") -> Range:
    """c1, c2, ... one after the other."""
    names = ["good", *(f"c{n}" for n in range(1, number + 1))]
    suspects = tuple(
        Suspect(name, f"kernel-{name}", f"subject of {name}", "A <a@b>", parents=(before,))
        for before, name in pairwise(names)
    )
    return Range(kind, Suspect("good", "kernel-good", "where it was good"), suspects)


def search_in(history: Range, sought: str = "", budget: Budget = Budget()) -> Search:  # noqa: B008 - frozen
    asked = Asked(
        history.kind, "hold", "virtio", "v1", "v2", "/linux", sought=sought, budget=budget, command="lab bisect"
    )
    return Search(asked, history, "2026-11-27T00:00:00")


def searched(world: World, search: Search | None = None, saves: list[int] | None = None) -> Search:
    """A search of that world, to its end."""
    mine = search or search_in(world.range)
    return Engine(mine, world, lambda now: (saves if saves is not None else []).append(len(now.entries))).go()


def killed_and_resumed(world: World, folder: Path) -> Search:
    """A search that is killed where the world stops, and goes on to its end from what it has saved."""
    with pytest.raises(KilledError):
        Engine(search_in(world.range), world, lambda now: save(folder, now)).go()
    world.stop_at = 0
    resumed = load(folder)
    Engine(resumed, world, lambda now: save(folder, now)).go()
    return resumed
