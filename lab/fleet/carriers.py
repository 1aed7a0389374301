# SPDX-License-Identifier: GPL-2.0-only
"""Who has the batches of a session done: each carrier is a command line that runs `lab.fleet.carry` for every batch.

A carrier promises three things: a batch that ends with 75, or any other status but 0, is tried again, on another host
where there is one; batches are begun in their order; and a SIGHUP has it begin nothing more. All else (attempts,
results, what counts) is carry's.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import HostTrouble
from lab.fleet.attempts import FleetFolder
from lab.fleet.inventory import FleetHost
from lab.host.records import write_whole

CARRY = (sys.executable, "-P", "-m", "lab.fleet.carry")
BATCHES = "batches"
LOGINS = "logins"
JOBLOG = "joblog"


@dataclass(frozen=True)
class Work:
    """What a carrier is given: the session's folder, its batches in their order, hosts and how much each has room for.

    tries  how often a batch is tried in all
    """

    session: Path
    batches: Sequence[str]
    tries: int

    @property
    def root(self) -> Path:
        return FleetFolder(self.session).root


Carrier = Callable[[Work], list[str]]


def parallel(work: Work) -> list[str]:
    """GNU parallel: a job log, each try on another host, and hosts that come and go. Raises HostTrouble without it."""
    if shutil.which("parallel") is None:
        raise HostTrouble("this host has no GNU parallel", hint="lab setup --fleet, or --carrier local")
    write_whole(work.root / BATCHES, "".join(f"{name}\n" for name in work.batches).encode())
    (work.root / JOBLOG).unlink(missing_ok=True)  # what is done is known by bundles; see docs/fleet.md
    own = (str(work.session), str(work.tries), str(os.getpid()))
    return [sys.executable, "-P", "-m", "lab.fleet.by_parallel", *own]


def local(work: Work) -> list[str]:
    """A process of ours, for a host that has no GNU parallel: hosts are taken in turn."""
    write_whole(work.root / BATCHES, "".join(f"{name}\n" for name in work.batches).encode())
    return [sys.executable, "-P", "-m", "lab.fleet.in_turn", str(work.session), str(work.tries)]


def slurm(work: Work) -> list[str]:
    """A job array of Slurm's, whose nodes are the hosts. Raises HostTrouble without Slurm."""
    if shutil.which("sbatch") is None:
        raise HostTrouble("this host has no Slurm: sbatch is not on PATH", hint="--carrier parallel")
    write_whole(work.root / BATCHES, "".join(f"{name}\n" for name in work.batches).encode())
    return [sys.executable, "-P", "-m", "lab.fleet.by_slurm", str(work.session), str(work.tries)]


CARRIERS: Mapping[str, Carrier] = {"parallel": parallel, "local": local, "slurm": slurm}
AWAY = "LAB_CARRY_AWAY"
"""Set where an attempt is not on the controller's host, and its carrier is who stops it."""


def logins(hosts: Sequence[FleetHost], room: Mapping[str, int]) -> bytes:
    """The hosts that are given batches, a line each, as GNU parallel reads them: how many at once, and the name."""
    return "".join(f"{room[host.name]}/{host.name}\n" for host in hosts if room.get(host.name)).encode()


def environment() -> dict[str, str]:
    """Of a carrier: GNU parallel takes options from its user's own files and environment, which are not ours."""
    return {k: v for k, v in os.environ.items() if k != "PARALLEL"} | {"PARALLEL_SHELL": "/bin/sh"}
