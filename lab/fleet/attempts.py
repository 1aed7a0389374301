# SPDX-License-Identifier: GPL-2.0-only
"""What a session's hosts were given, in its folder: an attempt at a batch is a folder, and no number is used twice.

fleet/hosts.json            how each host is reached
fleet/artefacts.json        what its guests are made of
fleet/BATCH/N/attempt.json  which host, since when, and how it ended
           /                what it sent that does not count
           done             nothing of it is left to do
fleet/strikes/HOST          a line for each failure since the host last did something
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.fleet.arrival import FLEET
from lab.fleet.inventory import FleetHost, as_record, from_record
from lab.fleet.orders import Artefact
from lab.host.records import load_record, read_record, write_record
from lab.plan.session import SessionPlan
from lab.text.words import one_line
from lab.units import utc_now

AT_WORK, ENDED, GIVEN_UP = "at work", "ended", "given up"
DONE = "done"
STRIKES = 3
"""Failures in a row after which a host is given nothing more."""


@dataclass(frozen=True)
class Attempt:
    """One host's turn at a batch. `why`: what went wrong, or was odd."""

    batch: str
    number: int
    host: str
    began: str
    state: str = AT_WORK
    why: str = ""
    pushed: int = 0
    ended: str = ""

    @property
    def key(self) -> str:
        """That of its order."""
        return f"{self.batch}.{self.number}"


@dataclass(frozen=True)
class FleetFolder:
    """The folder of a session for its hosts."""

    session: Path

    @property
    def root(self) -> Path:
        return self.session / FLEET

    def write(self, hosts: tuple[FleetHost, ...], artefacts: tuple[Artefact, ...]) -> None:
        """What every attempt needs to know. Raises OSError."""
        self.write_hosts(hosts)
        write_record(self.root / "artefacts.json", {"artefacts": [a.model_dump() for a in artefacts]})

    def write_hosts(self, hosts: tuple[FleetHost, ...]) -> None:
        write_record(self.root / "hosts.json", as_record(hosts))

    def hosts(self) -> Mapping[str, FleetHost]:
        """Read once for as long as they are the same: 500 take 10 ms. Raises OSError, ValueError, KeyError."""
        path = self.root / "hosts.json"
        there = path.stat()  # of a file that is never written, but replaced
        return _hosts(path, there.st_ino, there.st_mtime_ns)

    def artefacts(self) -> tuple[Artefact, ...]:
        """Raises OSError, ValueError, KeyError."""
        record = load_record(self.root / "artefacts.json")
        return tuple(Artefact.model_validate(fields) for fields in record["artefacts"])

    # -- attempts ----------------------------------------------------------------------------------------------------

    def begin(self, batch: str, host: str) -> Attempt:
        """The next attempt at a batch: its number is nobody else's. Raises OSError."""
        number = 1 + max((attempt.number for attempt in self.attempts(batch)), default=0)
        while True:
            with contextlib.suppress(FileExistsError):
                (self.root / batch / str(number)).mkdir(parents=True)
                break
            number += 1
        attempt = Attempt(batch, number, host, utc_now())
        self.keep(attempt)
        return attempt

    def folder(self, attempt: Attempt) -> Path:
        return self.root / attempt.batch / str(attempt.number)

    def keep(self, attempt: Attempt) -> None:
        """Raises OSError."""
        write_record(self.folder(attempt) / "attempt.json", asdict(attempt))

    def end(self, attempt: Attempt, state: str, why: str = "", pushed: int = 0) -> None:
        """Raises OSError."""
        self.keep(replace(attempt, state=state, why=one_line(why, 2000), pushed=pushed, ended=utc_now()))

    def attempts(self, batch: str) -> tuple[Attempt, ...]:
        """Those at a batch, in their order."""
        paths = (self.root / batch).glob("*/attempt.json")
        found = [attempt for path in paths if (attempt := read_record(path, _attempt)) is not None]
        return tuple(sorted(found, key=lambda attempt: attempt.number))

    def is_open(self, attempt: Attempt) -> bool:
        """Whether nobody has told how it ended."""
        return any(a.number == attempt.number and a.state == AT_WORK for a in self.attempts(attempt.batch))

    def settle(self, batch: str) -> None:
        """Nothing of a batch is left to do: whoever else is at it need not go on."""
        with contextlib.suppress(OSError):
            (self.root / batch).mkdir(parents=True, exist_ok=True)
            (self.root / batch / DONE).touch()

    def is_settled(self, batch: str) -> bool:
        return (self.root / batch / DONE).exists()

    def all_attempts(self) -> tuple[Attempt, ...]:
        """Of the session."""
        batches = sorted({path.parents[1].name for path in self.root.glob("*/*/attempt.json")})
        return tuple(attempt for batch in batches for attempt in self.attempts(batch))

    # -- strikes -----------------------------------------------------------------------------------------------------

    def strike(self, host: str, why: str) -> None:
        """A host has failed."""
        path = self.root / "strikes" / host
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write(f"{utc_now()} {one_line(why, 500)}\n")

    def absolve(self, host: str) -> None:
        """It has done something."""
        (self.root / "strikes" / host).unlink(missing_ok=True)

    def strikes(self, host: str) -> tuple[str, ...]:
        """Why, oldest first."""
        with contextlib.suppress(OSError):
            return tuple((self.root / "strikes" / host).read_text().splitlines())
        return ()

    def is_out(self, host: str) -> bool:
        return len(self.strikes(host)) >= STRIKES


@functools.lru_cache(maxsize=1)
def _hosts(path: Path, *_: int) -> Mapping[str, FleetHost]:
    return {host.name: host for host in from_record(load_record(path))}


def fleet_of(plan: SessionPlan) -> FleetFolder:
    return FleetFolder(plan.folder)


def _attempt(record: dict[str, Any]) -> Attempt:
    """Raises TypeError."""
    return Attempt(**record)
