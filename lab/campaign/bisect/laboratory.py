# SPDX-License-Identifier: GPL-2.0-only
"""What an engine needs of the world: kernels are fetched or built, sessions conducted, the archive is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lab.campaign.bisect.ahead import Ahead
from lab.campaign.bisect.decide import Means
from lab.campaign.bisect.engine import Told as Tells
from lab.campaign.bisect.engine import UnfitError, Wanted
from lab.campaign.bisect.kernels import is_there, kernel_of, without
from lab.campaign.bisect.model import REVERT, Search, Seen, Suspect
from lab.campaign.bisect.prices import Prices, pace_of
from lab.campaign.bisect.runs import environment_of, remembered, seen_of
from lab.errors import BadInput, FetchFailed
from lab.host.filecache import MOVE_CACHE
from lab.session.conduct import Conducts, Listener, conduct
from lab.text.words import one_line
from lab.units import Deadline, wait_until
from lab.verdict.model import Word

if TYPE_CHECKING:
    from lab.contracts import BootableKernel
    from lab.kernels.recipe import Recipe
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report.model import RunResult
    from lab.spec.request import SessionRequest

TIDY = timedelta(seconds=120)


@dataclass
class Conductor:
    """The laboratory of one search. `listener` is told of sessions as that of `lab run` is; `conduct` has them done."""

    search: Search
    listener: Listener
    conduct: Conducts = conduct
    prices: Prices = field(init=False)
    _kernels: dict[str, BootableKernel] = field(default_factory=dict)
    _ahead: Ahead = field(default_factory=Ahead)
    _names: dict[str, str] = field(default_factory=dict)
    _pairs: int = 0

    def __post_init__(self) -> None:
        self.prices = Prices(self.search)

    @property
    def results(self) -> Path:
        return Path(self.search.asked.results)

    def make(self, suspect: Suspect) -> str:
        """Raises UnfitError for what does not build or cannot be fetched, LabTrouble for what is no kernel's fault."""
        from lab.guestimage.build import ensure_init
        from lab.kernels import recipes
        from lab.kernels.bootable import make_bootable
        from lab.kernels.recipe import Recipe

        progress = self.listener.progress
        try:
            kernel = kernel_of(self.search.asked, suspect)
            if not is_there(kernel):
                self._ahead.free(kernel.name, progress)
            made = make_bootable(kernel, init=ensure_init(progress), progress=progress)
        except BadInput as exc:
            raise UnfitError(f"it cannot be built: {one_line(exc.problems[0], 300)}") from exc
        except FetchFailed as exc:
            if exc.hint == MOVE_CACHE:
                raise
            raise UnfitError(f"it cannot be fetched: {one_line(exc.message, 300)}") from exc
        if isinstance(kernel, Recipe) and suspect.name != REVERT:
            recipes.remember(kernel)  # by this name its runs are repeated
        self._kernels[suspect.name] = made
        self.prices.built_last = suspect.name
        return f"{made.sha256}+{made.initrd_sha256}"

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        """One that cannot be made says so when it is needed. Raises OSError."""
        from lab.kernels import recipes
        from lab.kernels.recipe import Recipe

        wanted = {suspect.name: kernel_of(self.search.asked, suspect) for suspect in suspects}
        self.prices.wanted |= wanted
        self._names = {kernel.name: name for name, kernel in wanted.items() if not is_there(kernel)}
        for kernel in wanted.values():
            if isinstance(kernel, Recipe):
                recipes.remember(kernel)  # the other process knows it by its name
        self._ahead.want(tuple(self._names))
        self._go_on()

    def _go_on(self) -> None:
        """The next kernel, when the one before is over."""
        if begun := self._ahead.go_on():
            self.prices.built_last = self._names[begun]
            self.listener.progress(f"making {begun} beside the runs")

    def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Tells) -> None:
        """One session. Raises KeyboardInterrupt when a signal ended it, LabTrouble."""
        search = self.search
        kernels = {self._called(suspect): suspect.name for suspect, _ in wanted} if len(wanted) > 1 else {}
        times = {suspect.name: number for suspect, number in wanted}
        request = replace(self._request([suspect for suspect, _ in wanted]), repeat=max(times.values()))
        since = time.monotonic()
        over: list[RunResult] = []

        def whose(kernel: str) -> str:
            return kernels[kernel] if kernels else wanted[0][0].name

        def planned(plan: SessionPlan) -> None:
            search.accelerator = plan.accelerator.removeprefix("auto")  # of other hosts, each proves its own
            begun(plan.name, kernels)
            self.listener.planned(plan)

        def verdict(plan: SessionPlan, number: int, result: RunResult) -> None:
            search.environment = search.environment or environment_of(result)
            over.append(result)
            told(whose(result.manifest.kernel.name), seen_of(result, plan.folder, plan.name))
            self.listener.verdict(plan, number, result)

        def doing(what: str) -> None:
            self._go_on()
            self.listener.doing(what)

        def only(run: Run) -> bool:
            return run.repeat < times[whose(run.kernel)]

        listener = replace(self.listener, planned=planned, doing=doing, verdict=verdict)
        done = self.conduct(request, self.results, listener, only=only)
        if done.interrupted:
            raise KeyboardInterrupt
        why = f"it left no bundle; what happened: {done.log}"
        for run in done.plan.runs:
            if run.id not in done.results:
                told(whose(run.kernel), Seen(run.id, done.plan.name, Word.MISS.value, incidents=("lost",), why=why))
        if over:
            self.prices.paces.append(pace_of(over, time.monotonic() - since, done.plan.pairs))

    def _request(self, suspects: Sequence[Suspect]) -> SessionRequest:
        from lab.spec.request import SessionRequest

        asked = self.search.asked
        return SessionRequest(
            names=(asked.case,),
            kernels=tuple(suspect.kernel for suspect in suspects),
            nics=(asked.nic,),
            repeat=1,
            pairs=asked.pairs,
            family=asked.family,
            accelerator=self.search.accelerator or "auto",
            command=asked.command,
        )

    def _called(self, suspect: Suspect) -> str:
        """What its kernel is called in a session."""
        from lab.kernels.catalogue import resolve

        (kernel,) = resolve((suspect.kernel,))
        return kernel.name

    def left_by(self, session: str) -> Sequence[tuple[str, Seen]]:
        """Waits for workers that outlived whoever was killed: they put their evidence away."""
        from lab.archive.reports import stored_plan, told
        from lab.contracts import MANIFEST
        from lab.host.workers import at_work

        folder = self.results / session
        try:
            plan = stored_plan(folder)
        except BadInput:
            return ()
        wait_until(
            lambda: (None if at_work(plan.sockets) else True, at_work(plan.sockets)),
            deadline=Deadline.after(f"the workers of session {session}", TIDY),
        )
        there = [run for run in plan.runs if (folder / run.id / MANIFEST).is_file()]
        return [(run.kernel, seen_of(told(folder / run.id, run.id), folder, session)) for run in there]

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        """By the archive, and none where it cannot be asked."""
        return remembered(self.search, self._kernels[suspect.name])

    def revert(self, search: Search, culprit: str) -> str:
        """Raises UnfitError, with the reason."""
        from lab.kernels import recipes

        try:
            recipe = without(search, culprit)
            self._build(recipe)
        except BadInput as exc:
            raise UnfitError(f"it cannot be taken out: {one_line(exc.problems[0], 300)}") from exc
        recipes.remember(recipe)
        design = search.asked.design
        return f"{recipe.name}@{design}" if design else recipe.name

    def means(self) -> Means:
        """By what was measured in this search. Raises BadInput where no pair fits, HostTrouble without a host."""
        return self.prices.means(self._free())

    def _free(self) -> int:
        """Pairs that a session may have at once: asked once, and told by each session with hosts after that."""
        from lab.session.room import room_of

        if not self._pairs:
            suspects = [self.search.range.bad]
            self._pairs = room_of(self.conduct, self._request(suspects), self.listener.progress)
            self.listener.progress(f"pairs at once: {self._pairs}")
        return self._pairs

    def _build(self, recipe: Recipe) -> None:
        from lab.kernels.build import ensure_built

        self._ahead.free(recipe.name, self.listener.progress)
        ensure_built(recipe, self.listener.progress)
