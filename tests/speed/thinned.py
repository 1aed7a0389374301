# SPDX-License-Identifier: GPL-2.0-only
"""The bundle that a host k times as fast would have left behind, made of a real one.

What a guest computes takes 1/k of the time, by its own clock; telemetry goes on ten times a second of that clock, so
that fewer of its samples fall into each phase; which ones is a matter of luck, `phase`. k below 1 is a busy host: all
takes longer, and no sample is made up, so that they lie farther apart.

What is kept, for its number does not depend on speed:

- every line of a client but `progress`, which comes when 100 ms have passed or when it keeps KEPT more bytes than on
  the line before (suites/rx_zerocopy/guest/zc-client.c). A bundle from before it did so has none of the latter to keep;
- the sample that the lab waits for before it lets a client be sent anything (between its `ready` and `accepted`);
- the samples that were asked for on either side of a checkpoint;
- all samples of a wait: see below.

What does not get shorter, for it waits for a clock and not for the machine:

- a stream that is held to a rate (`--rate` of its sender): its transfer takes at least bytes / rate. `held_to_rate`
  says whether that counts for the case's subject too: without, the bundle is harder than life;
- from when something gave in `bystander` until clients are told to quit: the lab waits for twenty samples, or for a
  stall of three seconds.

Anything else is shortened, also what would wait (a flush of memory.stat, 2 s): fewer samples than life, never more.

Not touched: what lies before the run's first sample (boot, preflight), timing.json, sizes and counts. Instructions of
`cost` move with the clients' lines; what a guest executes in the background meanwhile is not taken out.
`seconds.drive` of the manifest, the second witness of the guests' clocks, loses what the receiver's clock loses.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.evidence.seal import KEY, digest_of
from lab.units import MIB
from tests.speed.warp import Stretch, Warp

Json = dict[str, Any]
Clock = Callable[[float], float]

INTERVAL = 0.1
"""Seconds between two samples, and at most between two lines of a client that gets something."""

KEPT = MIB
"""Bytes that a client keeps more when it says another line, however soon; KEPT of zc-client.c."""

AT_ITS_RATE = 0.8
"""Share of its rate at which a stream is held by that, and not by the host: a busy one does not slow it down."""

STAMP = re.compile(rb"^((?:<\d+>)?\[ *)(\d+\.\d{6})(\])", re.MULTILINE)
OVER = ("released", "left", "done")


@dataclass(frozen=True)
class Host:
    """One on which a guest computes so many times as fast. `phase`, 0 to 1: where the first sample falls.

    held_to_rate  whether senders that are held to a rate bring the case's subject no more than that
    by_bytes      whether clients say a line for each KEPT bytes, as they do, or by the clock alone, as they once did
    """

    times: float
    phase: float = 0.0
    held_to_rate: bool = True
    by_bytes: bool = True


def thinned(files: Mapping[str, bytes], host: Host) -> dict[str, bytes]:
    """A bundle as that host would have given it, and the one in it that it is compared with."""
    beside = {p.removeprefix("reference/"): d for p, d in files.items() if p.startswith("reference/")}
    own = {p: d for p, d in files.items() if not p.startswith("reference/")}
    run = _Run(own, host)
    told = {p: run.told(p, d) for p, d in own.items() if p != "manifest.json"}
    if beside:
        told |= {f"reference/{p}": d for p, d in thinned(beside, host).items()}
    return {**told, "manifest.json": run.manifest(told)}


class _Run:
    """One bundle being thinned."""

    def __init__(self, files: Mapping[str, bytes], host: Host) -> None:
        self._times, self._phase, self._by_bytes = host.times, host.phase, host.by_bytes
        self._manifest: Json = json.loads(files["manifest.json"])
        names = [c["name"] for c in self._manifest["clients"]]
        self._clients = {n: _lines(files.get(f"clients/{n}.jsonl", b"")) for n in names}
        self._senders = {n: _lines(files.get(f"senders/{n}.jsonl", b"")) for n in names}
        self._samples = _lines(files.get("receiver/telemetry.jsonl", b""))
        self._asked = {role: _lines(files.get(f"{role}/checkpoints.jsonl", b"")) for role in ("receiver", "sender")}
        self._rates = _rates(self._manifest, held_to_rate=host.held_to_rate)
        warp = Warp(self._stretches())
        self._receiver: Clock = warp
        self._sender: Clock = warp.behind(self._offset(_lines(files.get("sender/telemetry.jsonl", b""))))
        accepted = self._moments(self._clients, "accepted")
        counts = _lines(files.get("receiver/instructions.jsonl", b""))
        first = min(accepted.values(), default=0.0)
        self._host: Clock = warp.behind(counts[0]["t"] - first if counts else 0.0)

    def _offset(self, samples: list[Json]) -> float:
        """What the sender's clock shows more than the receiver's: by its connections, or else by the first samples."""
        connected = self._moments(self._senders, "connected")
        accepted = self._moments(self._clients, "accepted")
        if not samples or not self._samples:
            return 0.0  # both ends in one guest
        both = [connected[n] - accepted[n] for n in connected.keys() & accepted.keys()]
        return both[0] if both else samples[0]["t"] - self._samples[0]["t"]

    @staticmethod
    def _moments(logs: Mapping[str, list[Json]], event: str) -> dict[str, float]:
        return {n: line["t"] for n, lines in logs.items() for line in lines if line["event"] == event}

    # -- which time is shortened, and by how much

    def _stretches(self) -> Iterator[Stretch]:
        """From the first sample to the last: between any two of the moments below, one pace."""
        if not self._samples:
            return
        begin, end = self._samples[0]["t"], self._samples[-1]["t"]
        lives = {n: _life(lines) for n, lines in self._clients.items()}
        moments = {begin, end, *(t for life in lives.values() if life for t in life), *self._wait()}
        inside = sorted(t for t in moments if begin <= t <= end)
        for start, stop in pairwise(inside):
            yield Stretch(start, stop, self._pace(start, stop, lives))

    def _pace(self, start: float, stop: float, lives: Mapping[str, tuple[float, float] | None]) -> float:
        wait = self._wait()
        if wait and wait[0] <= start and stop <= wait[1]:
            return 1.0
        at_work = [n for n, life in lives.items() if life and life[0] <= start and stop <= life[1]]
        if not at_work or any(n not in self._rates for n in at_work):
            return 1 / self._times  # what is held to no rate sets the pace
        slowest = max(self._due(n, start, stop) for n in at_work)
        return slowest if slowest > AT_ITS_RATE else max(1 / self._times, slowest)

    def _due(self, name: str, start: float, stop: float) -> float:
        """The pace at which a stream that is held to a rate goes at it, and no faster."""
        taken = _delivered(self._clients[name], stop) - _delivered(self._clients[name], start)
        return min(1.0, taken / self._rates[name] / (stop - start))

    def _wait(self) -> tuple[float, float] | tuple[()]:
        """`bystander`: from when something gave until clients are told to quit."""
        if self._manifest["case"] != "bystander" or not (life := _life(self._clients.get("abuser", []))):
            return ()
        over = [e["t"] for lines in self._clients.values() for e in lines if e["event"] in OVER and e["t"] > life[1]]
        ends = [c["t"] for c in self._asked["receiver"] if c["name"] == "end"]
        return (life[1], max(life[1], min([*over, *ends], default=life[1])))

    # -- what is told

    def told(self, path: str, data: bytes) -> bytes:
        folder, _, name = path.partition("/")
        if folder in ("receiver", "sender"):
            clock = self._receiver if folder == "receiver" else self._sender
            return self._guest(folder, name, data, clock)
        if folder == "clients":
            return _dump(_at(list(self._said(_lines(data))), self._receiver))
        if folder == "senders":
            return _dump(_at(_lines(data), self._sender))
        return data

    def _guest(self, role: str, name: str, data: bytes, clock: Clock) -> bytes:
        if name == "telemetry.jsonl":
            return _dump(_numbered(_at(self._kept(role, _lines(data), clock), clock), _lines(data)))
        if name == "checkpoints.jsonl":
            return _dump(_at(_lines(data), clock))
        if name == "instructions.jsonl":
            return _dump(_at(_lines(data), self._host))
        if name == "console.log":
            return STAMP.sub(lambda m: m[1] + b"%.6f" % clock(float(m[2])) + m[3], data)
        return data

    def _said(self, lines: list[Json]) -> Iterator[Json]:
        """The lines that the client would have said."""
        spoke, kept = -INTERVAL, 0
        for line in lines:
            t, keeps = self._receiver(line["t"]), line.get("held", 0) + line.get("queued", 0)
            if line["event"] != "progress":
                yield line
                kept = keeps
            elif self._times <= 1 or t - spoke >= INTERVAL or (self._by_bytes and keeps - kept >= KEPT):
                yield line
                spoke, kept = t, keeps

    def _kept(self, role: str, samples: list[Json], clock: Clock) -> list[Json]:
        if self._times <= 1:
            return samples
        due = (clock(samples[0]["t"]) if samples else 0.0) + self._phase * INTERVAL
        wanted, kept = self._wanted(role, samples), []
        for i, sample in enumerate(samples):
            t = clock(sample["t"])
            on_time = t >= due - INTERVAL / 10  # telemetry is a little late, now and then
            if on_time:
                due += INTERVAL * max(1, round((t - due) / INTERVAL) + 1)
            if on_time or i in wanted:
                kept.append(sample)
        return kept

    def _wanted(self, role: str, samples: list[Json]) -> set[int]:
        """Indices of those that do not come by the clock: they were asked for, or waited for."""
        times = [s["t"] for s in samples]
        wanted = {0}
        for asked in self._asked[role]:
            wanted |= {max((i for i, t in enumerate(times) if t <= asked["t"]), default=0)}
            wanted |= {min((i for i, t in enumerate(times) if t > asked["t"]), default=0)}
        for name, lines in self._clients.items() if role == "receiver" else ():
            ready, accepted = (next((e["t"] for e in lines if e["event"] == w), 0.0) for w in ("ready", "accepted"))
            between = [i for i, s in enumerate(samples) if ready < s["t"] < accepted and name in s["cg"]]
            wanted |= set(between[:1])
        return wanted

    def manifest(self, told: Mapping[str, bytes]) -> bytes:
        span = [self._samples[0]["t"], self._samples[-1]["t"]] if self._samples else [0.0, 0.0]
        lost = (span[1] - span[0]) - (self._receiver(span[1]) - self._receiver(span[0]))
        seconds = self._manifest["seconds"]
        listed = {
            p: {"size": len(told[p]), "sha256": hashlib.sha256(told[p]).hexdigest()} for p in self._manifest["files"]
        }
        fields = {**self._manifest, "files": listed, "seconds": {**seconds, "drive": max(0.0, seconds["drive"] - lost)}}
        if fields.get(KEY):
            fields[KEY] = digest_of(fields)
        return json.dumps(fields).encode()


def _rates(manifest: Json, *, held_to_rate: bool) -> dict[str, int]:
    """Bytes a second that streams are held to, by client."""
    found = {}
    for client in manifest["clients"]:
        argv = client.get("peer_argv") or client["sender_argv"]  # as older bundles call it
        free = not held_to_rate and client["deliver"]  # an endless one is a bystander: its rate is what is judged
        if "--rate" in argv and not free:
            found[client["name"]] = int(argv[argv.index("--rate") + 1])
    return found


def _life(lines: list[Json]) -> tuple[float, float] | None:
    """When a client took something: from its first connection to the end of its stream, or the last that came."""
    start = next((e["t"] for e in lines if e["event"] == "accepted"), None)
    if start is None:
        return None
    end = next((e["t"] for e in lines if e["event"] == "holding"), None)
    most = max((e.get("delivered", 0) + e.get("queued", 0) for e in lines), default=0)
    grew = next(e["t"] for e in lines if e.get("delivered", 0) + e.get("queued", 0) == most and e["t"] >= start)
    return start, max(start, grew if end is None else end)


def _delivered(lines: list[Json], t: float) -> int:
    return max((e.get("delivered", 0) for e in lines if e["t"] <= t), default=0)


def _at(lines: list[Json], clock: Clock) -> list[Json]:
    return [{**line, "t": round(clock(line["t"]), 6)} for line in lines]


def _numbered(kept: list[Json], all_of: list[Json]) -> list[Json]:
    """Telemetry numbers what it takes; lines that were lost stay lost."""
    had, lost, last = {line["seq"] for line in all_of}, 0, None
    found = []
    for seq, line in enumerate(kept):
        if last is not None:
            lost += sum(n not in had for n in range(last + 1, line["seq"]))
        last = line["seq"]
        found.append({**line, "seq": seq + lost})
    return found


def _lines(data: bytes) -> list[Json]:
    """A line that was cut is left out: it is no evidence before either."""
    found = []
    for line in data.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _dump(lines: list[Json]) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
