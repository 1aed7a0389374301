# SPDX-License-Identifier: GPL-2.0-only
"""A night: sources refreshed, kernels made, cells run, what differs run again, and what changed told.

Each step can be done again: what was run is in the archive, what was told in the diary (lab.campaign.diary). So a night
that was killed goes on where it was, and nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from lab.archive.select import of_command
from lab.campaign import culprits
from lab.campaign.asked import Asked, affordable, request_of, tracks, wanted_runs
from lab.campaign.diary import Night
from lab.campaign.sources import Source, made, refresh_lists, source_of
from lab.campaign.telling import Teller
from lab.campaign.tonight import Tonight
from lab.campaign.tracks import SESSIONS, View, is_of, view_of
from lab.contracts import BootableKernel, Progress
from lab.errors import LabError
from lab.plan.matrix import Run
from lab.session.conduct import Listener
from lab.spec.night import Target

ROUNDS = 10
"""Sessions of one target in a night."""
SEARCHABLE = 60.0
"""Seconds that have to be left for a search to be begun."""
MARGIN = 1.2
"""What is expected to take a time may take so much longer."""


@dataclass(frozen=True)
class Ended:
    """A night that is over. `line` is all that is said where nothing is new; `unsent` says why mails still wait."""

    line: str
    night: Night
    mails: tuple[Path, ...]
    unsent: str = ""


@dataclass
class Nightly:
    """One night at work. For whoever is `alone` (lab.campaign.tonight)."""

    asked: Asked
    progress: Progress
    tonight: Tonight = field(init=False)
    teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        self.tonight = Tonight(self.asked, self.progress)
        self.teller = Teller(self.tonight)

    def work(self) -> Ended:
        """The whole night, or what is left of it. Raises KeyboardInterrupt when a signal ends it."""
        todo = [target for target in self.asked.targets if target.name not in self.tonight.night.targets]
        notes = refresh_lists(self.progress) if any(t.kernel or t.base for t in todo) else ()
        for note in notes:
            self.tonight.log(note)
        with self.tonight.timed():
            for target in todo:
                if self.tonight.left <= 0:
                    self.tonight.passed_over(target, "not reached in time")
                    continue
                self.target(target)
        self.teller.deliver()  # what changed is told before a search, which may take all the time that is left
        with self.tonight.timed():
            self.search()
        return self.close()

    def target(self, target: Target) -> None:
        """One target from its source to what is told of it."""
        try:
            source = source_of(target, self.asked.path.parent, self.progress)
            for note in source.notes:
                self.tonight.log(note)
            kernel = made(source.name, self.progress)
            wanted = wanted_runs(self.asked, target, source, kernel)
            view = self.run(target, source, kernel, wanted)
        except LabError as exc:
            self.teller.cannot(target, exc)
            return
        if view.seen:
            self.teller.tell(target, kernel, view, tracks(wanted))
        else:
            self.tonight.passed_over(target, "not reached in time")

    def run(self, target: Target, source: Source, kernel: BootableKernel, wanted: Sequence[Run]) -> View:
        """Runs until every track has one, and what differs was run often enough, or time is up."""
        view, before = self.view(target, kernel, wanted), -1
        for _ in range(ROUNDS):
            counts = dict.fromkeys(view.lacking, self.asked.spec.repeat) or view.again
            counts = affordable(counts, wanted, self.tonight.left / MARGIN)
            done = sum(map(len, view.tonight.values()))
            if not counts or done == before:  # a round that left no run would leave none again
                break
            before = done
            if not self.session(target, source, counts):
                return self.view(target, kernel, wanted)
            view = self.view(target, kernel, wanted)
            self.tonight.keep(self.tonight.diary)
        return view

    def session(self, target: Target, source: Source, counts: Mapping[str, int]) -> bool:
        """Run each track so many times; whether it came to its end. Raises KeyboardInterrupt for a signal not ours."""

        def only(run: Run) -> bool:
            return run.repeat < counts.get(f"{run.case}/{run.nic}", 0)

        request = replace(request_of(self.asked, target, source.name), repeat=max(counts.values()))
        self.tonight.log(f"{target.name}: {sum(counts.values())} runs of {len(counts)} tracks on {source.name}")
        done = self.asked.conduct(request, self.asked.root, Listener(progress=self.progress), only=only)
        self.tonight.log(f"{target.name}: session {done.plan.folder.name}, {len(done.results)} verdicts")
        done.session()  # its reports, where its engine came to a bad end
        if done.interrupted and not self.tonight.out_of_time:
            raise KeyboardInterrupt
        return not done.interrupted

    def view(self, target: Target, kernel: BootableKernel, wanted: Sequence[Run]) -> View:
        """What the archive says of the target now."""
        book, began = self.tonight.book(target), self.tonight.night.began

        def ask(index: Index) -> View:
            catch_up(index, self.asked.root, self.progress)
            runs = of_command(index, is_of(self.asked.path, target.name), SESSIONS)
            return view_of(index, self.asked.root, runs, tracks(wanted), book, began, kernel.sha256)

        return use_index(self.asked.root, ask)

    def search(self) -> None:
        """Look for what brought the new failures, one after the other, as long as there is time."""
        asked, tonight = self.asked, self.tonight
        for number, (command, came_to) in enumerate(tonight.night.searches.items(), 1):
            if came_to:
                continue
            if tonight.left < SEARCHABLE:
                tonight.log(f"no time is left for: {command}")
                continue
            tonight.log(f"search: {command}")
            folder = tonight.folder / f"bisect-{number}"
            try:
                left, pairs = tonight.left / MARGIN, asked.spec.pairs
                found = culprits.look_for(command, folder, asked.root, left, asked.conduct, tonight.log, pairs)
            except LabError as exc:
                found = culprits.Found(f"not searched: {str(exc).splitlines()[0]}", "")
            self.teller.found(number, command, found)

    def close(self) -> Ended:
        """Hand over the mails that wait, and say what came of the night."""
        asked, tonight = self.asked, self.tonight
        for target in asked.targets:
            if target.name not in tonight.night.targets:
                tonight.passed_over(target, "not reached in time")
        unsent = self.teller.deliver()
        if not asked.only:
            tonight.keep(replace(tonight.diary, night=replace(tonight.night, ended=True)))
        else:
            done = {target.name for target in asked.spec.target} <= set(tonight.night.targets)
            tonight.keep(replace(tonight.diary, night=replace(tonight.night, ended=done)))
        mails = tuple(sorted(tonight.folder.glob("mail-*.eml")))
        told = "; ".join(f"{name}: {words}" for name, words in tonight.night.targets.items())
        tonight.log(f"ended: {told}")
        return Ended(f"nightly {asked.path.stem}: {told}", tonight.night, mails, unsent)
