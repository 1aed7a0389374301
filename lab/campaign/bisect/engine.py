# SPDX-License-Identifier: GPL-2.0-only
"""The loop of a search: what is next is decided, done and noted, until nothing is left to do.

The laboratory is the seam: it makes kernels and says what runs of them came to. Nothing here boots anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.campaign.bisect.decide import (
    Ended,
    Means,
    Steps,
    bisection_of,
    foreseen,
    lost_by_the_lab,
    next_steps,
    reason_to_skip,
    wants_revert,
)
from lab.campaign.bisect.model import REVERT, Begun, Entry, Outcome, Purpose, Search, Seen, Suspect
from lab.campaign.bisect.sought import asked_for, shown_by
from lab.contracts import Progress
from lab.stats.bisection import Answer


class UnfitError(Exception):
    """A suspect's kernel cannot be had: it does not build, or its package is gone. Says why."""


Wanted = Sequence[tuple[Suspect, int]]
Told = Callable[[str, Seen], None]


class Laboratory(Protocol):
    """What an engine needs of the world. All of it may raise LabTrouble and KeyboardInterrupt."""

    def make(self, suspect: Suspect) -> str:
        """Fetch or build a kernel; a key that only the very same kernel has too. Raises UnfitError."""

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        """Make kernels of these meanwhile, the first one first, and no others any more. Raises nothing for them."""

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        """What other sessions ran of this very kernel with this very lab."""

    def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Told) -> None:
        """Run each of these so often, in one session. `begun` is told the session, and where there are several,
        whose kernel is called how in it; `told` each run that is over, and of which suspect it is."""

    def left_by(self, session: str) -> Sequence[tuple[str, Seen]]:
        """The runs that a session left, one that was killed too, with the kernel of each. It has ended when this
        returns."""

    def revert(self, search: Search, culprit: str) -> str:
        """The kernel of the bad end without the culprit. Raises UnfitError when it cannot be taken out."""

    def means(self) -> Means:
        """What a run of each suspect costs, and how many pairs are free."""


@dataclass
class Engine:
    """One search and who does its work. `save` is called whenever something is known that was not before."""

    search: Search
    laboratory: Laboratory
    save: Callable[[Search], None]
    tell: Progress = lambda _: None
    clock: Callable[[], float] = time.monotonic
    _since: float = field(default=0.0, init=False)

    def go(self) -> Search:
        """To the end, from wherever it stopped. Nothing is made ahead any more when this returns or raises."""
        self._since = self.clock()
        self.search.ended, self.search.why = Outcome.GOING_ON, ""
        self._recover()
        self._forgive()
        try:
            while not isinstance(steps := self._next(), Ended):
                self._do(steps)
        finally:
            self.laboratory.ahead(())
        self.search.ended, self.search.why = steps.outcome, steps.why
        self._note()
        return self.search

    def _next(self) -> Steps | Ended:
        self._settle()
        return next_steps(self.search, self.laboratory.means())

    def _note(self) -> None:
        now = self.clock()
        self.search.seconds += now - self._since
        self._since = now
        self.save(self.search)

    def _recover(self) -> None:
        """Runs that were over when this was killed, and were not noted, are not run again."""
        if (begun := self.search.begun) is None:
            return
        known = {(e.seen.session, e.seen.run) for e in self.search.entries}
        batch = self.search.batches + (not any(session == begun.session for session, _ in known))
        for kernel, seen in self.laboratory.left_by(begun.session) if begun.session else ():
            suspect = begun.kernels.get(kernel, "") if begun.kernels else begun.suspect
            if suspect and (seen.session, seen.run) not in known:
                self.search.entries.append(Entry(suspect, begun.purpose, batch, seen))
        self._finish()

    def _forgive(self) -> None:
        """What the lab could not run before may be run now."""
        search = self.search
        for name in [name for name in search.skipped if lost_by_the_lab(search.of(name))]:
            del search.skipped[name]
            search.forgiven[name] = len(search.of(name))

    def _settle(self) -> None:
        """What follows from the last runs: what is sought, what is left out, whether to take the culprit out."""
        search = self.search
        if search.sought is None:
            runs = search.of(search.range.bad.name)
            asked = search.asked.sought
            search.sought = asked_for(asked, runs) if asked else shown_by(runs)
            if search.sought is not None:
                self.tell(f"sought: {search.sought}")
        for name in (search.range.good.name, *(s.name for s in search.range.suspects)):
            self._leave_out(name)
        found = bisection_of(search)
        answer, culprit = found.answer()
        if answer is Answer.CULPRIT and wants_revert(search, found, culprit):
            try:
                search.revert = self.laboratory.revert(search, culprit)
            except UnfitError as exc:
                search.told_revert = str(exc)
            self._note()

    def _leave_out(self, name: str) -> None:
        search = self.search
        if name in search.skipped or (search.sought is None and name != search.range.bad.name):
            return
        if why := reason_to_skip(name, search):
            self._skip(name, why)

    def _skip(self, name: str, why: str) -> None:
        self.search.skipped[name] = why
        self.tell(f"left out: {name}: {why}")
        self._note()

    def _do(self, steps: Steps) -> None:
        """Steps at once. A kernel that is made may be one that is known, so they are thought over then."""
        suspects = [self._suspect(step.suspect) for step in steps]
        for suspect in suspects:
            if suspect.name not in self.search.contents:
                self._make(suspect)
                return
        batch, purpose = self.search.batches + 1, steps[0].purpose
        for step, suspect in zip(steps, suspects, strict=True):
            beside = "" if step is steps[0] else "at once "
            self.tell(f"{beside}{step.times} runs of {suspect.kernel}: {suspect.subject}".rstrip(": "))
        self.search.begun = Begun(suspects[0].name, purpose)

        def begun(session: str, kernels: Mapping[str, str]) -> None:
            self.search.begun = Begun(suspects[0].name, purpose, session, kernels if len(suspects) > 1 else {})
            self._note()

        def told(suspect: str, seen: Seen) -> None:
            self.search.entries.append(Entry(suspect, purpose, batch, seen))
            self._note()

        then = foreseen(self.search, steps, self.laboratory.means())
        self.laboratory.ahead([self._suspect(name) for name in then])
        wanted = [(suspect, step.times) for suspect, step in zip(suspects, steps, strict=True)]
        self.laboratory.run(wanted, begun, told)
        self._finish()

    def _make(self, suspect: Suspect) -> None:
        search = self.search
        try:
            search.contents[suspect.name] = self.laboratory.make(suspect)
        except UnfitError as exc:
            if suspect.name == REVERT:
                search.told_revert = str(exc)
                self._note()
            else:
                self._skip(suspect.name, str(exc))
            return
        if suspect.name != REVERT:
            batch = search.batches + 1
            found = self.laboratory.remembered(suspect)
            search.entries += [Entry(suspect.name, Purpose.REMEMBERED, batch, seen) for seen in found]
            if found:
                self.tell(f"{len(found)} runs of {suspect.kernel} are known from the archive")
        self._note()

    def _suspect(self, name: str) -> Suspect:
        if name == REVERT:
            return Suspect(REVERT, self.search.revert)
        return self.search.range.named(name)

    def _finish(self) -> None:
        """The batch is over, and noted."""
        self.search.begun = None
        self._note()
