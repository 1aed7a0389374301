# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.fleet.in_turn SESSION TRIES`: the carrier for a host without GNU parallel.

A child for each batch that a host has room for; a batch that ends with 75, or by a signal or an error, goes to the end
of the queue, and to another host where there is one. SIGHUP: nothing more is begun. Children are forked, so that what
an attempt takes to load is loaded, and in memory, once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lab.fleet import carry
from lab.fleet.attempts import FleetFolder
from lab.fleet.carriers import BATCHES, LOGINS
from lab.fleet.forks import forked, loaded, remembered
from lab.host.workers import ENOUGH

Entry = tuple[str, tuple[str, ...]]
"""A batch, and the hosts that have failed it."""


@dataclass
class Turns:
    """Batches that wait."""

    tries: int
    waiting: list[Entry]
    lost: list[str] = field(default_factory=list)

    def take(self, host: str, hosts: set[str]) -> Entry | None:
        """A batch that this host has not failed, unless all have. None: there is none now."""
        for entry in self.waiting:
            if host not in entry[1] or hosts <= set(entry[1]):
                self.waiting.remove(entry)
                return entry
        return None

    def give_back(self, entry: Entry, host: str, status: int) -> None:
        """How it ended there. An attempt that came to a bad end itself, as by too few processes, is one of many."""
        name, failed = entry[0], (*entry[1], host)
        if status and len(failed) < self.tries:
            self.waiting.append((name, failed))
        elif status:
            self.lost.append(name)


@dataclass
class Places:
    """Who is at what. `room`: by host, how many batches at once."""

    session: Path
    planned: carry.Planned
    turns: Turns
    room: Counter[str]
    working: dict[int, tuple[Entry, str]] = field(default_factory=dict)
    over: bool = False

    def begin(self) -> None:
        """Whoever has room, and is not struck out, takes a batch while there are any, and the session wants more."""
        if (self.planned[0].sockets / ENOUGH).exists():
            self.over = True
        fleet = FleetFolder(self.session)
        hosts = {name for name in self.room if not fleet.is_out(name)}
        for host in sorted(hosts):
            while not self.over and self.room[host] > 0 and (entry := self.turns.take(host, hosts)):
                self.room[host] -= 1
                self.working[self._forked(entry[0], host)] = entry, host

    def _forked(self, batch: str, host: str) -> int:
        remembered(self.session)
        return forked(lambda: carry.main(self.session, batch, host, self.planned))

    def wait(self) -> None:
        """Until one of them has ended."""
        pid, status = os.wait()
        if pid in self.working:
            entry, host = self.working.pop(pid)
            self.room[host] += 1
            self.turns.give_back(entry, host, os.waitstatus_to_exitcode(status))

    def stop(self, *_: object) -> None:
        self.over = True


def main(session: Path, tries: int) -> int:
    """How many batches are lost, 100 at most."""
    root = FleetFolder(session).root
    turns = Turns(tries, [(name, ()) for name in (root / BATCHES).read_text().split()])
    room = [line.partition("/") for line in (root / LOGINS).read_text().split()]
    places = Places(session, loaded(session), turns, Counter({name: int(n) for n, _, name in room}))
    signal.signal(signal.SIGHUP, places.stop)
    places.begin()
    while places.working:
        places.wait()
        places.begin()
    return min(len(turns.lost), 100)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
