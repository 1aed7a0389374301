# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.fleet.in_turn SESSION TRIES`: the carrier for a host without GNU parallel.

A thread for each batch that a host has room for; a batch that ends with 75 goes to the end of the queue, and to another
host where there is one. SIGHUP: nothing more is begun.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from lab.fleet.attempts import FleetFolder
from lab.fleet.batch import TRY_ELSEWHERE
from lab.fleet.carriers import BATCHES, CARRY, LOGINS

PAUSE = 0.2


class Turns:
    """Batches that wait, each with the hosts that have failed it."""

    def __init__(self, batches: list[str], tries: int) -> None:
        self.tries, self.over = tries, threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, tuple[str, ...]]] = [(name, ()) for name in batches]
        self._at_work = 0
        self.lost: list[str] = []

    def take(self, host: str, hosts: set[str]) -> tuple[str, tuple[str, ...]] | None:
        """A batch that this host has not failed, unless all have. None: there is none now."""
        with self._lock:
            for entry in self._waiting:
                if host not in entry[1] or hosts <= set(entry[1]):
                    self._waiting.remove(entry)
                    self._at_work += 1
                    return entry
        return None

    def give_back(self, entry: tuple[str, tuple[str, ...]], host: str, status: int) -> None:
        with self._lock:
            self._at_work -= 1
            name, failed = entry[0], (*entry[1], host)
            if status == TRY_ELSEWHERE and len(failed) < self.tries:
                self._waiting.append((name, failed))
            elif status:
                self.lost.append(name)

    def is_over(self) -> bool:
        with self._lock:
            return self.over.is_set() or not (self._waiting or self._at_work)


def work(session: Path, turns: Turns, host: str, hosts: set[str]) -> None:
    """One place on one host, until nothing is left, or the host is struck out."""
    fleet = FleetFolder(session)
    while not turns.is_over() and not fleet.is_out(host):
        entry = turns.take(host, {name for name in hosts if not fleet.is_out(name)})
        if entry is None:
            turns.over.wait(PAUSE)
            continue
        turns.give_back(entry, host, subprocess.run([*CARRY, str(session), entry[0], host], check=False).returncode)


def main(session: Path, tries: int) -> int:
    """How many batches are lost, 100 at most."""
    root = FleetFolder(session).root
    turns = Turns((root / BATCHES).read_text().split(), tries)
    signal.signal(signal.SIGHUP, lambda *_: turns.over.set())
    room = [line.partition("/") for line in (root / LOGINS).read_text().split()]
    hosts = {name for _, _, name in room}
    threads = [
        threading.Thread(target=work, args=(session, turns, name, hosts)) for n, _, name in room for _ in range(int(n))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min(len(turns.lost), 100)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
