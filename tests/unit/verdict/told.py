# SPDX-License-Identifier: GPL-2.0-only
"""A run being told: the bytes that it would have left behind, as plain lines and dicts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from lab.evidence.bundle import parse
from lab.evidence.seal import KEY, digest_of
from lab.plan.case import ClientSpec
from lab.units import MIB
from lab.verdict.case import Case
from lab.verdict.model import Verdict
from tests.known import judge
from tests.unit.verdict.machine import Client, Json, Machine

STEP = 0.1  # telemetry interval; clients speak half-way between two samples
BURST = 8 * MIB  # what an unbridled sender delivers in one step
QUEUE_FULL = 12 * MIB
BACKGROUND = 8e6  # instructions a second that a guest executes anyway
WORK = 1.1e6  # instructions for a MB
JITTER = (0.0, 0.004, -0.006, 0.002, 0.005, -0.003)  # turns differ by that


def with_digest(manifest: Json) -> bytes:
    """The bytes of a manifest that is as it was written; one of format 1 has no digest."""
    sealed = {**manifest, KEY: digest_of(manifest)} if manifest.get("format", 1) > 1 else manifest
    return json.dumps(sealed).encode()


@dataclass
class Story:
    """One run being told. Everything public ends up in the bundle."""

    case: Case
    machine: Machine
    manifest: Json
    checkpoints: list[Json] = field(default_factory=list)
    sender_checkpoints: list[Json] = field(default_factory=list)
    first: Json = field(default_factory=dict)
    clients: dict[str, list[Json]] = field(default_factory=dict)
    senders: dict[str, list[Json]] = field(default_factory=dict)
    sender_telemetry: list[Json] = field(default_factory=list)
    sender_console: list[str] = field(default_factory=list)
    preflight: list[Json] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    tampered: dict[str, bytes] = field(default_factory=dict)
    counts: list[Json] = field(default_factory=list)
    work: float = WORK
    reference: Story | None = None

    # What a test asks.

    def files(self) -> dict[str, bytes]:
        """The bundle's bytes. `tampered` replaces bytes after they were hashed, `absent` removes files likewise."""
        contents = self._contents()
        files = {path: data for path, data in contents.items() if path not in self.absent}
        listed = {p: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for p, d in contents.items()}
        manifest = {**self.manifest, "files": listed}
        return {**files, "manifest.json": with_digest(manifest), **self.tampered}

    def verdict(self) -> Verdict:
        return judge(parse(self.files()))

    def event(self, name: str, event: str) -> Json:
        """The last line of that event in a client's output, to be spoilt."""
        return next(e for e in reversed(self.clients[name]) if e["event"] == event)

    def checkpoint(self, name: str) -> Json:
        return next(c for c in self.checkpoints if c["name"] == name)

    def record(self, name: str) -> Json:
        """A client's row of the manifest."""
        found: Json = next(c for c in self.manifest["clients"] if c["name"] == name)
        return found

    def incident(self, kind: str, guest: str = "receiver") -> None:
        row = {"kind": kind, "guest": guest, "detail": "as told", "t": "2026-01-01T00:00:00Z"}
        self.manifest["incidents"].append(row)

    # How the run is told.

    def say(self, client: Client, event: str, **fields: object) -> None:
        plain = {} if event == "ready" else client.counters()
        line = {"t": round(self.machine.t, 6), "event": event, **plain, **fields}
        self.clients[client.name].append(line)
        if self.case.compares and event in ("accepted", "holding"):
            self.count(client, event)

    def count(self, client: Client, event: str) -> None:
        """What the plugin writes when the client executes a mark."""
        last = self.counts[-1] if self.counts else {"t": 5000 + self.machine.t, "instructions": 10**9}
        t, jitter = 5000 + self.machine.t, JITTER[len(self.counts) // 2 % len(JITTER)]
        moved = client.delivered / 1e6 * self.work * (1 + jitter) if event == "holding" else 0
        executed = last["instructions"] + round(BACKGROUND * (t - last["t"]) + moved)
        self.counts.append({"mark": 1 if event == "accepted" else 2, "instructions": executed, "t": round(t, 6)})

    def wait(self, steps: int) -> None:
        """Let time pass: telemetry of both guests, and whatever steady streams bring."""
        for _ in range(steps):
            self._half_step()
            self.machine.t += STEP / 2
            self.machine.tick()
            self._sample_sender()

    def mark(self, name: str) -> None:
        line = {**self.machine.sample(), "event": "checkpoint", "name": name, "pages": self.machine.pages()}
        line |= {"t": round(self.machine.t, 6), "parent": self.machine.parent(), "pools": self.machine.page_pools()}
        self.checkpoints.append(line)

    def bookend(self, name: str) -> None:
        """A checkpoint of both guests that leaves a canary in their logs."""
        self.mark(name)
        token = f"c0ffee-{name}"
        self.checkpoints[-1]["kmsg"] = self.machine.canary(token)
        if name == "after":
            del self.checkpoints[-1]["pages"]
        beside = {**self.machine.sample(), "event": "checkpoint", "name": name, "cg": {}, "vmstat": {"oom_kill": 0}}
        told = {"canary": token, "seq": len(self.sender_console), "shown": 0}
        self.sender_checkpoints.append({**beside, "t": round(50.0 + self.machine.t, 6), "kmsg": told})
        self.sender_console.append(f"[{self.machine.t:12.6f}] lab-canary: {token}")

    def start(self, spec: ClientSpec) -> Client:
        client = self.machine.clients[spec.name]
        client.procs = 1
        facts = {"behaviour": spec.behaviour, "port": 5000, "pid": client.pid, "cgroup": None, "vmsplice": "keeps"}
        self.say(client, "ready", name=spec.name, **facts)
        self.senders[spec.name] = [{"t": 50.0 + self.machine.t, "event": "ready", "pid": 9}]
        self.wait(2)
        self.say(client, "accepted", sockets=spec.sockets)
        return client

    def pour(self, client: Client, total: int, *, until_free: int = 0) -> None:
        """Deliver at full speed until all has come, the kernel stops the client, or memory runs short."""
        sent = 0
        while sent < total and client.alive and self.machine.free() > until_free:
            stopped = self._is_stopped(client)
            if stopped and client.behaviour == "hold-or-copy":
                client.refusal = 12
            elif stopped or client.queued >= QUEUE_FULL:
                break
            self.machine.t -= STEP / 2  # the client's line falls between two samples
            self.wait(1)
            client.take(min(BURST, total - sent), 0)
            sent += BURST
            self.machine.t += STEP / 2
            self.say(client, "progress")
        self.wait(1)

    def _is_stopped(self, client: Client) -> bool:
        forced = self.machine.kernel.at_limit == "force" and client.unkillable
        over = client.limit and self.machine.wants(client, BURST, 0) > client.limit
        return bool(not forced and (over or self.machine.over_above(client, BURST)))

    def _half_step(self) -> None:
        self.machine.t += STEP / 2
        for spec in self.case.clients:
            client = self.machine.clients[spec.name]
            if spec.rate and client.alive and client.procs:
                client.take(round(spec.rate * STEP), spec.ring)
                self.say(client, "progress")

    def end_of_stream(self, client: Client, spec: ClientSpec) -> None:
        """The client says why no more comes: it is complete, it was refused, or its stream ended."""
        refused = bool(spec.deliver) and client.behaviour != "slow" and client.delivered < wanted(spec)
        why: Json = (
            {"reason": "error", "errno": 12, "call": "TCP_ZEROCOPY_RECEIVE"} if refused else {"reason": "complete"}
        )
        self.say(client, "holding", **why)

    def quit(self, spec: ClientSpec) -> None:
        """Exit of a client and its sender; a killed client has said its last."""
        client, record = self.machine.clients[spec.name], self.record(spec.name)
        record["status"], record["sender_status"] = (0 if client.alive else 137), 0
        whole = client.alive and client.delivered == spec.deliver
        if client.alive:
            checked = {"mismatches": 0, "first_mismatch": -1} if spec.verify else {}
            self.say(client, "done", hash="c0ffee", **checked)
        client.drop()
        client.procs, client.cgroup = 0, False
        sent: Json = {"t": 50.0 + self.machine.t, "sent": max(client.delivered, client.queued), "hash": "c0ffee"}
        sent |= {"urgent": client.urgent} if spec.urgent else {}
        self.senders[spec.name].append(
            {**sent, "event": "done"} if whole else {**sent, "event": "broken", "errno": 104}
        )

    def _sample_sender(self) -> None:
        sample = {**self.machine.telemetry[-1], "cg": {}, "vmstat": {"oom_kill": 0}}
        self.sender_telemetry.append({**sample, "t": round(50.0 + self.machine.t, 6)})

    def _contents(self) -> dict[str, bytes]:
        logs = {f"clients/{n}.jsonl": e for n, e in self.clients.items()}
        logs |= {f"senders/{n}.jsonl": e for n, e in self.senders.items()}
        logs |= {"receiver/telemetry.jsonl": self.machine.telemetry, "receiver/checkpoints.jsonl": self.checkpoints}
        logs |= {"sender/checkpoints.jsonl": self.sender_checkpoints}
        logs |= {"first.jsonl": [self.first]} if self.first else {}
        logs |= {"receiver/instructions.jsonl": self.counts} if self.case.compares else {}
        beside = self.reference.files() if self.reference else {}
        logs |= {"sender/telemetry.jsonl": self.sender_telemetry, "preflight/client.jsonl": self.preflight}
        texts = {"receiver/console.log": self.machine.console, "sender/console.log": self.sender_console}
        files = {path: "".join(json.dumps(line) + "\n" for line in lines).encode() for path, lines in logs.items()}
        files |= {f"reference/{path}": data for path, data in beside.items()}
        return files | {path: "".join(f"{line}\r\n" for line in lines).encode() for path, lines in texts.items()}


def wanted(spec: ClientSpec) -> int:
    """What it takes off its sockets when nothing stops it."""
    return spec.deliver - spec.sockets * spec.leave
