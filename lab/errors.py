# SPDX-License-Identifier: GPL-2.0-only
"""Every error the lab raises, and whose fault each one is.

LabError
 +- BadInput         the user asked for something that does not exist or cannot be   -> exit 2
 +- LabTrouble       our machinery failed; a run that meets one is a MISS            -> exit 3
     +- HostTrouble      this host lacks something (tool, memory, disk, permission)
     +- FetchFailed      a package, kernel or image could not be had
     +- DeadlinePassed   a named wait ended without its signal
     +- GuestLost        a guest went away or stopped answering
     +- CommandFailed    a command on the host or in a guest returned non-zero
     +- Flood            a guest said more than a channel may carry; a run that meets one is an ERROR

What a kernel does wrong is never an exception: it is a Finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Kind = Literal["boot", "lost", "deadline", "qemu-exit", "interrupted", "host", "hang", "frozen", "flood", "damaged"]
"""Of trouble during a run; `lab.evidence.manifest.Incident` says what each means."""

QUOTED = 4000
"""Characters of a command's output that its error quotes at most."""


@dataclass(frozen=True)
class Fault:
    """An incident in the making: see `lab.evidence.manifest.Incident`."""

    kind: Kind
    guest: str
    detail: str


class LabError(Exception):
    """Base of everything the lab raises on purpose. `hint` says what to try next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.hint}" if self.hint else self.message


class BadInput(LabError):
    """All problems of one input, reported together.

    `problems` are complete sentences, each naming the option or the file and key it is about.
    """

    def __init__(self, problems: Sequence[str], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), hint=hint)


T = TypeVar("T")


def tried(problems: list[str], make: Callable[[], T], hints: list[str] | None = None) -> T | None:
    """What `make` gives; None where that is bad input, whose problems and hint are noted to be told with the rest."""
    try:
        return make()
    except BadInput as exc:
        problems += exc.problems
        if hints is not None and exc.hint:
            hints.append(exc.hint)
        return None


class LabTrouble(LabError):
    """The lab, not the kernel, is at fault. `seen` is what the host saw of its guests before they were ended."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seen: tuple[Fault, ...] = ()

    def add_seen(self, faults: Sequence[Fault]) -> None:
        """Remember these as well."""
        self.seen = (*self.seen, *(fault for fault in faults if fault not in self.seen))


class HostTrouble(LabTrouble):
    """This host lacks what the lab needs."""


class FetchFailed(LabTrouble):
    """Something could not be fetched."""


class DeadlinePassed(LabTrouble):
    """A wait ended without its signal; the message names the wait and what it last saw."""


class GuestLost(LabTrouble):
    """A guest went away, or answers no more."""


class CommandFailed(LabTrouble):
    """A command returned non-zero. Carries argv, status and the tail of its output."""

    def __init__(self, argv: Sequence[str], status: int, output: str, *, where: str = "this host") -> None:
        self.argv, self.status, self.output = tuple(argv), status, output
        tail = "\n".join(output.strip().splitlines()[-15:])[-QUOTED:]
        super().__init__(f"on {where}, exit status {status}: {' '.join(argv)}\n{tail}")


class Flood(LabTrouble):
    """A guest said more than a channel may carry."""
