# SPDX-License-Identifier: GPL-2.0-only
"""What a fleet costs its controller: `python -m bench.fleet [--carrier NAME] [--seconds S] [--out FILE] [H:B ...]`.

A host is a local process that speaks the real wire, waits as if guests ran, and sends a real small bundle; a batch is
one run. GNU parallel, the connections, unpacking, judging, the archive and events are the real ones. In the middle, one
host of ten is cut off. With --seconds none is begun after so many: what a batch of a large session costs can be
measured without all of them. Times are those of the CPU, without the hosts' own: they say the same on a host that does
other work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import resource
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.machine import context
from bench.memory import pss_kib
from lab.fleet.answers import Answer
from lab.fleet.arrival import FLEET
from lab.fleet.attempts import ENDED
from lab.fleet.carriers import CARRIERS
from lab.fleet.conduct import filling
from lab.fleet.crew import Crew
from lab.host.paths import cache_root, runtime_dir, temporary_folder
from lab.host.version import lab_code
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from lab.report.model import RunResult
from lab.session.conduct import Listener, Until, watch
from lab.session.start_engine import LOG
from lab.units import Deadline
from tests.unit.fleet import simulated
from tests.unit.fleet.made import plan_in

SIZES = ("10:100", "100:200", "500:500")
A_SECOND = 10.0
"""Batches that all hosts together can do: what a controller can hand out, not what hosts can do, is the limit."""


@dataclass
class Heard:
    """When each verdict came, and the memory that the controller's processes took at most, in KiB (PSS)."""

    cut: Path
    hosts: list[str]
    half: int
    half_time: float = math.inf
    sockets: Path = Path()
    times: list[float] = field(default_factory=list)
    cut_at: float = 0.0
    most: int = 0
    of_an_attempt: float = 0.0
    _looked: float = 0.0

    def verdict(self, _plan: SessionPlan, number: int, _result: RunResult) -> None:
        self.times.append(time.monotonic())
        if not self.cut_at and (number >= self.half or time.monotonic() > self.half_time):
            for name in self.hosts[::10]:
                (self.cut / name).touch()
            self.cut_at = time.monotonic()

    def doing(self, _: str) -> None:
        """Called many times a second; to look at all of them takes a second of CPU where there are 500 hosts."""
        if time.monotonic() - self._looked > max(5, len(self.hosts) / 10):
            told = {pid: memory_of(pid) for pid in descendants(os.getpid())}
            attempts = len(list(self.sockets.glob("*.pid")))
            if attempts and sum(told.values()) > self.most:
                self.most = sum(told.values())
                self.of_an_attempt = (self.most - told[os.getpid()]) / attempts
            self._looked = time.monotonic()

    def stall(self) -> tuple[float, float]:
        """The longest time without a verdict before hosts were cut off, and from then on."""
        gaps = [(b - a, b) for a, b in zip(self.times, self.times[1:], strict=False)]
        before = [gap for gap, end in gaps if end <= self.cut_at]
        after = [gap for gap, end in gaps if end > self.cut_at]
        return max(before, default=0.0), max(after, default=0.0)


def descendants(root: int) -> Iterator[int]:
    """This process and those below it that are no simulated hosts."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            told = (entry / "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(told[1]), []).append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            if simulated.END.name.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid
                waiting += parents.get(pid, [])


def memory_of(pid: int) -> int:
    """KiB, what is shared with others in equal parts."""
    with contextlib.suppress(OSError, StopIteration):
        return pss_kib(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return 0


def spent() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    told = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in told)


def session(folder: Path, batches: int) -> SessionPlan:
    """That many runs, a batch each."""
    plan = plan_in(folder / "results" / "s1", ("hold",), sockets=runtime_dir())
    first = plan.runs[0]
    runs = tuple(replace(first, repeat=n, batch=n, seconds=1.0) for n in range(batches))
    plan = replace(plan, runs=runs)
    (plan.folder / FLEET).mkdir(parents=True)
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    return plan


def measure(
    folder: Path, hosts: int, batches: int, carrier: str, seconds: int = 0, a_second: float = A_SECOND
) -> dict[str, Any]:
    """One session over so many hosts, or the beginning of it."""
    plan = session(folder, batches)
    most = hosts + math.ceil(a_second * seconds) if seconds else None
    config = simulated.make(folder / "hosts", plan, hosts / a_second, most=most)
    names = [f"host{n:03}" for n in range(hosts)]
    answers = tuple(
        Answer(simulated.host(config, name), {"pairs": 1, "lab_code": lab_code(), "clock": time.time()})
        for name in names
    )
    (folder / "hosts.ini").write_text("")
    crew = Crew(folder / "hosts.ini", answers, carrier, lambda _: None)
    heard = Heard(folder / "hosts" / "cut", names, batches // 2, sockets=plan.sockets)
    began, before, watched = time.monotonic(), spent(), time.process_time()
    until = Until(deadline=Deadline.after("the bench", timedelta(seconds=seconds))) if seconds else None
    heard.half_time = began + seconds / 2 if seconds else math.inf
    try:
        done = watch(plan, crew, filling(Listener(verdict=heard.verdict, doing=heard.doing)), until)
    finally:
        crew.end()
    wall, watching = time.monotonic() - began, time.process_time() - watched
    if len(done.results) < batches and not seconds:
        print((plan.folder / LOG).read_text()[-4000:], file=sys.stderr)
    theirs = sum(map(float, (folder / "hosts" / "cpu").read_text().split()))
    cpu, attempts = spent() - before - theirs, crew.fleet.all_attempts()
    quiet, stalled = heard.stall()
    ended = {attempt.batch for attempt in attempts if attempt.state == ENDED}
    return {
        "carrier": carrier,
        "hosts": hosts,
        "batches": batches,
        "done": len(done.results),
        "lost": (len(ended) if seconds else batches) - len(done.results),
        "twice": len(heard.times) - len(done.results),
        "attempts": len(attempts),
        "cpu_ms_a_batch": round(1000 * cpu / max(len(done.results), 1), 1),
        "cpu_ms_a_batch_of_who_watches": round(1000 * watching / max(len(done.results), 1), 1),
        "batches_a_second_of_one_cpu": round(len(done.results) / cpu, 2),
        "wall_seconds": round(wall, 1),
        "batches_a_second": round(len(done.results) / wall, 2),
        "pss_mib": round(heard.most / 1024, 1),
        "pss_mib_an_attempt": round(heard.of_an_attempt / 1024, 1),
        "longest_gap_before": round(quiet, 1),
        "longest_gap_after_the_loss": round(stalled, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def keep(path: Path, told: dict[str, Any]) -> None:
    """Put a session's figures, and where and when they were measured, to those that are there."""
    before = json.loads(path.read_text())["sessions"] if path.exists() else []
    about = context(shlex.join(["python", "-m", "bench.fleet", *sys.argv[1:]]))
    path.write_text(json.dumps({"bench": "fleet", "sessions": [*before, {**told, **about}]}, indent=1) + "\n")


def main() -> int:
    """A line of JSON for each size; 1 where a batch was lost, or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="HOSTS:BATCHES")
    parser.add_argument("--carrier", choices=sorted(CARRIERS), default="parallel")
    parser.add_argument("--seconds", type=int, default=0, help="begin no batch after so many")
    parser.add_argument("--a-second", type=float, default=A_SECOND, help="batches that all hosts together can do")
    parser.add_argument("--out", type=Path, help="a file to keep what came out in, beside what is there")
    options = parser.parse_args()
    kept = True
    for size in options.sizes:
        hosts, _, batches = size.partition(":")
        with temporary_folder() as folder:
            os.environ["LAB_CACHE"] = str(folder / "cache")
            told = measure(folder, int(hosts), int(batches), options.carrier, options.seconds, options.a_second)
        print(json.dumps(told), flush=True)
        if options.out:
            keep(options.out, told)
        kept = kept and not told["lost"] and not told["twice"]
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
