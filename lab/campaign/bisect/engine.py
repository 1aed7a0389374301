# SPDX-License-Identifier: GPL-2.0-only
"""The loop of a search: what is next is decided, done and noted, until nothing is left to do.

The laboratory is the seam: it makes kernels and says what runs of them came to. Nothing here boots anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.campaign.bisect.decide import Ended, Step, bisection_of, foreseen, next_step, reason_to_skip, wants_revert
from lab.campaign.bisect.model import REVERT, Begun, Entry, Outcome, Purpose, Search, Seen, Suspect
from lab.campaign.bisect.sought import asked_for, shown_by
from lab.contracts import Progress
from lab.stats.bisection import Answer


class UnfitError(Exception):
    """A suspect's kernel cannot be had: it does not build, or its package is gone. Says why."""


class Laboratory(Protocol):
    """What an engine needs of the world. All of it may raise LabTrouble and KeyboardInterrupt."""

    def make(self, suspect: Suspect) -> str:
        """Fetch or build a kernel; a key that only the very same kernel has too. Raises UnfitError."""

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        """Make kernels of these meanwhile, the first one first, and no others any more. Raises nothing for them."""

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        """What other sessions ran of this very kernel with this very lab."""

    def run(self, suspect: Suspect, times: int, begun: Callable[[str], None], told: Callable[[Seen], None]) -> None:
        """Run it so often: `begun` is told the session, `told` each run that is over."""

    def left_by(self, session: str) -> Sequence[Seen]:
        """The runs that a session left, one that was killed too. It has ended when this returns."""

    def revert(self, search: Search, culprit: str) -> str:
        """The kernel of the bad end without the culprit. Raises UnfitError when it cannot be taken out."""

    def cost(self, suspect: Suspect) -> float:
        """Seconds until a run of it is over, what must be made before included."""


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
        try:
            while not isinstance(step := self._next(), Ended):
                self._do(step)
        finally:
            self.laboratory.ahead(())
        self.search.ended, self.search.why = step.outcome, step.why
        self._note()
        return self.search

    def _next(self) -> Step | Ended:
        self._settle()
        return next_step(self.search, self._cost)

    def _cost(self, name: str) -> float:
        return self.laboratory.cost(self.search.range.named(name))

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
        for seen in self.laboratory.left_by(begun.session) if begun.session else ():
            if (seen.session, seen.run) not in known:
                self.search.entries.append(Entry(begun.suspect, begun.purpose, batch, seen))
        self._finish(begun.suspect)

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
        runs = search.of(name)
        if not runs or name in search.skipped or (search.sought is None and name != search.range.bad.name):
            return
        if why := reason_to_skip(runs, search):
            self._skip(name, why)

    def _skip(self, name: str, why: str) -> None:
        self.search.skipped[name] = why
        self.tell(f"left out: {name}: {why}")
        self._note()

    def _do(self, step: Step) -> None:
        """One step. A kernel that is made may be one that is known, so the step is thought over then."""
        suspect = self._suspect(step.suspect)
        if suspect.name not in self.search.contents:
            self._make(suspect)
            return
        batch = self.search.batches + 1
        self.tell(f"{step.times} runs of {suspect.kernel}: {suspect.subject}".rstrip(": "))
        self.search.begun = Begun(suspect.name, step.purpose)

        def begun(session: str) -> None:
            self.search.begun = Begun(suspect.name, step.purpose, session)
            self._note()

        def told(seen: Seen) -> None:
            self.search.entries.append(Entry(suspect.name, step.purpose, batch, seen))
            self._note()

        self.laboratory.ahead([self._suspect(name) for name in foreseen(self.search, step, self._cost)])
        self.laboratory.run(suspect, step.times, begun, told)
        self._finish(suspect.name)

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

    def _finish(self, suspect: str) -> None:
        """The batch is over, and noted."""
        self.search.begun = None
        self._note()
