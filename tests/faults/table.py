# SPDX-License-Identifier: GPL-2.0-only
"""The table of faults: how often each is drawn, to which sessions it can be done, and what may become of them."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from signal import SIGHUP, SIGINT, SIGTERM

from tests.faults import files, guests, hosts
from tests.faults.effects import Effect
from tests.faults.hosts import Inject
from tests.faults.world import World

PREDICTED = "predicted"
"""The word that the tables predict."""
LOST = frozenset({"MISS", "ERROR"})
SLOWED = LOST | {PREDICTED}
DEAD = frozenset({"FAIL"})
HUNG = LOST | DEAD

RUN, SHELL, DOCTOR, SELFTEST = "run", "shell", "doctor", "selftest"
ANY = (RUN, RUN, RUN, RUN, SHELL, SHELL, DOCTOR, SELFTEST)
GUESTS = (RUN, RUN, RUN, RUN, SHELL, SELFTEST)


def by_signal(number: signal.Signals) -> frozenset[int]:
    """How a session says that a signal ended it."""
    return frozenset({128 + number, -number, 130})


@dataclass(frozen=True)
class Kind:
    """One row.

    hit      words that a run may get during which the fault came, by the time stamps of its bundle
    exits    exit statuses beside those that the words ask for
    ends     the session ends by it: runs that were not begun leave nothing
    spills   nobody could tidy up: half-made entries of the cache go when the next session needs them
    loses    evidence of runs that were at work may be lost with what was to keep it
    unwell   what the session needs is damaged: that nothing could be tried (2 or 3) is in order
    before   what is done to the round's folders before the session starts
    prefix   of the command; disk  folder on a file system with so many MiB of room; memory  least and most MiB for all
    """

    name: str
    weight: int
    inject: Inject
    hit: frozenset[str] = LOST
    commands: Sequence[str] = GUESTS
    exits: frozenset[int] = frozenset()
    ends: bool = False
    spills: bool = False
    loses: bool = False
    unwell: bool = False
    before: Callable[[World, random.Random], Effect] | None = None
    prefix: Callable[[random.Random], list[str]] | None = None
    disk: tuple[str, int] | None = None
    memory: tuple[int, int] | None = None

    @property
    def needs_root(self) -> bool:
        return self.disk is not None or self.memory is not None


KILLED = frozenset({-9, 137})
ENDED_BY_US = KILLED | {129, 130, 143}

HOSTS = (
    Kind("kill-qemu", 6, hosts.kill("qemu"), commands=ANY),
    Kind("stop-qemu", 4, hosts.pause("qemu", 1, 30), SLOWED),
    Kind("freeze-qemu", 3, hosts.freeze("qemu"), commands=(RUN,)),
    Kind("kill-worker", 4, hosts.kill("worker"), commands=(RUN,), spills=True),
    Kind("stop-worker", 2, hosts.pause("worker", 1, 20), SLOWED, commands=(RUN,)),
    Kind("kill-engine", 4, hosts.kill("engine"), commands=(RUN,), ends=True, spills=True, loses=True),
    Kind("stop-engine", 1, hosts.pause("engine", 1, 20), SLOWED, commands=(RUN,)),
    Kind("kill-lab", 4, hosts.kill("lab"), commands=ANY, ends=True, spills=True, exits=KILLED),
    Kind("stop-lab", 1, hosts.pause("lab", 1, 20), SLOWED, commands=(RUN,)),
    Kind(
        "kill-python",
        3,
        hosts.kill("lab-inside"),
        commands=(SHELL, DOCTOR),
        ends=True,
        spills=True,
        exits=KILLED,
    ),
    Kind("kill-reaper", 4, hosts.kill("reaper"), commands=ANY, ends=True, spills=True, loses=True, exits=KILLED | {3}),
    Kind("kill-guardian", 2, hosts.kill("guardian"), SLOWED, commands=ANY),
    Kind("int-int", 3, hosts.signals(SIGINT, SIGINT), commands=ANY, ends=True, exits=by_signal(SIGINT)),
    Kind("ctrl-c", 3, hosts.signals(SIGINT, SIGINT, group=True), commands=ANY, ends=True, exits=by_signal(SIGINT)),
    Kind(
        "int-term",
        2,
        hosts.signals(SIGINT, SIGTERM),
        commands=ANY,
        ends=True,
        exits=by_signal(SIGINT) | by_signal(SIGTERM),
    ),
    Kind("hangup", 2, hosts.signals(SIGHUP, group=True), commands=ANY, ends=True, exits=by_signal(SIGHUP)),
    Kind("two-sessions", 2, hosts.second_session, SLOWED, commands=(RUN,)),
    Kind(
        "few-files",
        2,
        hosts.nothing,
        SLOWED,
        prefix=hosts.limited("nofile", 12, 128),
        unwell=True,
        loses=True,
        commands=ANY,
    ),
    Kind(
        "small-files",
        1,
        hosts.nothing,
        SLOWED,
        prefix=hosts.limited("fsize", 1 << 12, 1 << 23),
        unwell=True,
        loses=True,
    ),
    Kind("few-bytes", 2, hosts.nothing, SLOWED, memory=(300, 1400), unwell=True, loses=True, exits=KILLED),
)

GUEST = (
    Kind("panic", 4, guests.inside(guests.PANIC), DEAD, exits=frozenset({255})),
    # 6.12 and later leave fair tasks 50 ms of each second beside it (the fair server): a slow run may come to its end
    Kind("hang", 2, guests.inside(guests.HANG), HUNG | {PREDICTED}, exits=frozenset({255})),
    Kind("silent-telemetry", 3, guests.inside(guests.SILENT), HUNG, commands=(RUN,)),
    Kind("no-telemetry", 3, guests.inside(guests.GONE), LOST, commands=(RUN,)),
    *(Kind(f"flood-{name}", 2, guests.flood(name), SLOWED, commands=(RUN,)) for name in guests.FLOODS),
    Kind("clock", 2, guests.clock, SLOWED, commands=(RUN,)),
)

LIVE = ("console.log", "telemetry.jsonl")
FILES = (
    *(
        Kind(f"{name.split('.')[0]}-{how}", 1, files.capture(name, how), commands=(RUN,))
        for name in LIVE
        for how in ("cut", "scribbled", "removed")
    ),
    Kind("plan-cut", 1, files.plan("cut"), SLOWED, commands=(RUN,), exits=frozenset({3}), loses=True),
    Kind("results-full", 3, files.fill("results"), commands=(RUN,), disk=("results", 96), unwell=True, loses=True),
    Kind("cache-full", 2, files.fill("cache"), SLOWED, disk=("cache", 400), unwell=True),
    *(
        Kind(f"cached-{what}", 1, hosts.nothing, SLOWED, before=files.cached(what), unwell=True)
        for what in files.PATTERNS
    ),
)

TABLE: dict[str, Kind] = {kind.name: kind for kind in (*HOSTS, *GUEST, *FILES)}


def draw(rng: random.Random, only: Sequence[str], *, root: bool) -> Kind:
    """A row, by weight; of those named, if any are."""
    rows = [kind for kind in TABLE.values() if (not only or kind.name in only) and (root or not kind.needs_root)]
    return rng.choices(rows, [kind.weight for kind in rows])[0]
