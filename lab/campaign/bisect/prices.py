# SPDX-License-Identifier: GPL-2.0-only
"""What it takes to make kernels and to run them: by what was measured in this search, and guessed until then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from lab.campaign.bisect.costs import FRESH, build_seconds
from lab.campaign.bisect.decide import QUICK, Means
from lab.campaign.bisect.kernels import is_there, kernel_of, paths_between
from lab.campaign.bisect.model import Search, Suspect
from lab.plan.order import PAIR_SECONDS
from lab.units import MIB

if TYPE_CHECKING:
    from lab.kernels.catalogue import Kernel
    from lab.report.model import RunResult

RUN_SECONDS = 20.0
AROUND = 10.0
"""Seconds of a session beside its pairs and runs, until some were measured."""
SOME = 3
FETCH_BYTES = 5 * MIB
"""A second."""
FEW, NEIGHBOUR = 200, 30.0
"""Suspects of which git is asked what differs; of more, each build is taken to last so many seconds."""


@dataclass(frozen=True)
class Pace:
    """Of one session, seconds: its runs and pairs made ready, each at the median, and what it took beside them."""

    run: float
    pair: float
    around: float


@dataclass
class Prices:
    """All in seconds. `built_last` names the suspect whose source a build would begin from; `wanted` has the kernels
    that may be there since they were priced, as they are made beside the runs; `paces` of the sessions so far."""

    search: Search
    built_last: str = ""
    wanted: dict[str, Kernel] = field(default_factory=dict)
    paces: list[Pace] = field(default_factory=list)
    _known: dict[tuple[str, str], float] = field(default_factory=dict)

    def means(self, pairs: int) -> Means:
        """What there is to search with, where so many pairs may be had at once."""
        paces = self.paces[1:] if len(self.paces) > SOME else self.paces  # the first proves the accelerator as well
        named = self.search.range.named
        return Means(
            cost=lambda name: self.cost(named(name)),
            making=lambda name: self.making(named(name)),
            pairs=pairs,
            run=median([pace.run for pace in paces] or [RUN_SECONDS / 2]),
            pair=median([pace.pair for pace in paces] or [PAIR_SECONDS]),
            around=median([pace.around for pace in paces] or [AROUND]),
        )

    def cost(self, suspect: Suspect) -> float:
        """By what was measured of runs, and what has to be made before them."""
        spent = [e.seen.seconds for e in self.search.entries if e.seen.seconds > 0]
        once = median(spent) if spent else RUN_SECONDS
        return once + self.making(suspect) / 2  # runs come in pairs

    def making(self, suspect: Suspect) -> float:
        """What it takes until its kernel is there."""
        if suspect.name in self.search.contents:
            return 0.0
        if (kernel := self.wanted.get(suspect.name)) is not None and is_there(kernel):
            return QUICK  # it was made beside the runs since
        key = suspect.name, self.built_last
        if key not in self._known:
            self._known[key] = self._making(suspect)
        return self._known[key]

    def _making(self, suspect: Suspect) -> float:
        from lab.kernels.catalogue import CatalogueKernel

        kernel = kernel_of(self.search.asked, suspect)
        if is_there(kernel):
            return QUICK
        if isinstance(kernel, CatalogueKernel):
            return max(2 * QUICK, kernel.size / FETCH_BYTES)
        if not self.built_last:
            return FRESH
        if len(self.search.range.suspects) > FEW:
            return NEIGHBOUR
        return max(2 * QUICK, build_seconds(paths_between(self.search, self.built_last, suspect.name)))


def pace_of(results: Sequence[RunResult], seconds: float, pairs: int) -> Pace:
    """Of a session that took so long on so many pairs."""
    spent = [result.manifest.seconds for result in results]
    fresh = [s.provision for s, r in zip(spent, results, strict=True) if not r.manifest.pair.runs_before]
    run = median(s.drive + s.collect for s in spent)
    pair = median(fresh or [0.0])
    rounds = math.ceil(len(fresh) / max(1, pairs)), math.ceil(len(results) / max(1, pairs))
    return Pace(run, pair, max(0.0, seconds - rounds[0] * pair - rounds[1] * run))
