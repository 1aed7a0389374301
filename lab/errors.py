"""Every error the lab raises, and whose fault each one is.

LabError
 +- BadInput         the user asked for something that does not exist or cannot be   -> exit 2
 +- LabTrouble       our machinery failed; a run that meets one is a MISS            -> exit 3
     +- HostTrouble      this host lacks something (tool, memory, disk, permission)
     +- FetchFailed      a package, kernel or image could not be had
     +- DeadlinePassed   a named wait ended without its signal
     +- GuestLost        a guest went away or stopped answering
     +- CommandFailed    a command on the host or in a guest returned non-zero

What a kernel does wrong is never an exception: it is a Finding.
"""

from __future__ import annotations

from collections.abc import Sequence


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


class LabTrouble(LabError):
    """The lab, not the kernel, is at fault."""


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
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"on {where}, exit status {status}: {' '.join(argv)}\n{tail}")
