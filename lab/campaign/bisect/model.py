# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What a search is made of. All of it is plain values, so that a record of it is the search itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal

from lab.stats.bisection import CONFIDENCE
from lab.stats.history import History

Kind = Literal["packages", "commits", "patches"]
REVERT = "revert"
"""The name of the bad end with the culprit taken out again; no suspect is called so."""


class Purpose(StrEnum):
    """Why something was run. REMEMBERED: another session had run it, and the archive knows what came of it."""

    SEARCH = "search"
    CONFIRM = "confirm"
    REVERT = "revert"
    REMEMBERED = "remembered"


class Outcome(StrEnum):
    """How a search ended; `` while it has not."""

    CULPRIT = "culprit"
    NONE = "none"
    OPEN = "open"
    BRACKET = "wrong ends"
    GOING_ON = ""


@dataclass(frozen=True)
class Budget:
    """What a search may take, 0 for no limit: runs, and seconds of wall time."""

    runs: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.runs}runs"] if self.runs else []
        return "|".join([*parts, *([f"{self.seconds:g}s"] if self.seconds else [])]) or "none"


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    good, bad  the ends as typed; of a series both are ""
    source     where the history is: a repository, or a series;  base  what a series is for
    design     which row of the designs table the kernels claim to be, "" for stock
    sought     finding that is looked for, "" for what the bad end shows
    pairs      of guests at once, 0 for as many as fit
    results    the folder of sessions;  command  as it was typed
    """

    kind: Kind
    case: str
    nic: str
    good: str = ""
    bad: str = ""
    source: str = ""
    base: str = ""
    configs: tuple[str, ...] = ()
    design: str = ""
    sought: str = ""
    confidence: float = CONFIDENCE
    budget: Budget = Budget()
    family: str = ""
    pairs: int = 0
    results: str = ""
    command: str = ""


@dataclass(frozen=True)
class Suspect:
    """A step from one kernel to the next: a package, a commit or a patch.

    kernel   how `lab run --kernel` takes the kernel that has it
    content  what its source is, "" when not known before it is built; where that is the same, so is the kernel
    fixes    its own Fixes: lines
    """

    name: str
    kernel: str
    subject: str = ""
    author: str = ""
    fixes: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    content: str = ""


@dataclass(frozen=True)
class Range:
    """The good end, and the suspects: parents first, the bad end last. about: what is worth telling of it."""

    kind: Kind
    good: Suspect
    suspects: tuple[Suspect, ...]
    about: tuple[str, ...] = ()

    @cached_property
    def history(self) -> History:
        """Raises BadInput for a range that is none."""
        known = {s.name for s in self.suspects}
        parents = {s.name: tuple(p for p in s.parents if p in known) for s in self.suspects}
        return History(self.good.name, parents)

    @property
    def bad(self) -> Suspect:
        return self.suspects[-1]

    @cached_property
    def _by_name(self) -> dict[str, Suspect]:
        return {s.name: s for s in (self.good, *self.suspects)}

    def named(self, name: str) -> Suspect:
        return self._by_name[name]

    def place(self, name: str) -> int:
        """0 for the good end, 1 for the first suspect."""
        return next(n for n, s in enumerate((self.good, *self.suspects)) if s.name == name)


@dataclass(frozen=True)
class Told:
    """A finding that speaks against a run. frames: the top of a splat's call trace."""

    rule: str
    word: str
    message: str
    frames: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """One run that is over.

    fault      a kernel faulted in it, or broke what holds in every case
    incidents  kinds of trouble of the lab
    why        the finding that decided, or why it was skipped
    """

    run: str
    session: str
    word: str
    told: tuple[Told, ...] = ()
    fault: bool = False
    incidents: tuple[str, ...] = ()
    why: str = ""
    seconds: float = 0.0
    reproduce: str = ""


@dataclass(frozen=True)
class Entry:
    """A run of the search: of which suspect, why, and in which batch (counted from 1), which is a session's runs."""

    suspect: str
    purpose: Purpose
    batch: int
    seen: Seen


@dataclass(frozen=True)
class Sought:
    """The failure that is looked for: a rule and its word; of a splat the frames too, where any are known.

    PASS, with no rule, is looked for where the bad end is the one that passes. gone: that the rule says nothing, where
    the good end is the one against which it speaks.
    """

    rule: str
    word: str = "FAIL"
    frames: tuple[str, ...] = ()
    message: str = ""
    gone: bool = False

    def __str__(self) -> str:
        if self.gone:
            return f"a verdict against which {self.rule} says nothing"
        if not self.rule:
            return self.word
        where = f" in {' < '.join(self.frames)}" if self.frames else ""
        return f"{self.word} by {self.rule}{where}"


@dataclass(frozen=True)
class Begun:
    """A batch that was begun, and whose end nobody has noted: its session may hold runs that are over.

    kernels  of several suspects at once: each by the name that its kernel has in the session
    """

    suspect: str
    purpose: Purpose
    session: str = ""
    kernels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Search:
    """All that is known. What it decides follows from this alone.

    contents   by suspect, a key of the kernel that was made of it
    skipped    suspects that give no observation, and why
    forgiven   by suspect, how many of its first runs the lab lost before the search was gone on with
    told_revert  what became of the culprit's revert, "" while nothing did
    environment  lines of a report: host, accelerator, lab
    seconds    spent so far
    accelerator  of the first session, so that all are alike; "" where each of several hosts has its own
    ended      how the search ended, and in words
    """

    asked: Asked
    range: Range
    started: str
    sought: Sought | None = None
    entries: list[Entry] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    forgiven: dict[str, int] = field(default_factory=dict)
    begun: Begun | None = None
    revert: str = ""
    told_revert: str = ""
    environment: tuple[str, ...] = ()
    accelerator: str = ""
    seconds: float = 0.0
    ended: Outcome = Outcome.GOING_ON
    why: str = ""

    @property
    def batches(self) -> int:
        return max((e.batch for e in self.entries), default=0)

    def of(self, suspect: str, *purposes: Purpose) -> tuple[Seen, ...]:
        """Runs of a suspect, for these purposes, or for any."""
        return tuple(e.seen for e in self.entries if e.suspect == suspect and (not purposes or e.purpose in purposes))

    @property
    def paid(self) -> int:
        """Runs that count against the budget. What others had run costs nothing, nor what a signal cut short."""
        own = [e for e in self.entries if e.purpose is not Purpose.REMEMBERED]
        return sum("interrupted" not in e.seen.incidents for e in own)
