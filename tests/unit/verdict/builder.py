"""Bundles made to measure: a script of a run writes the bytes that a run would have left behind.

`story(case)` tells a run on a kernel that keeps its promise. Its fields are plain lists and dicts, so that a test can
spoil one thing and say which verdict that must give.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from lab.evidence.bundle import parse
from lab.evidence.manifest import FORMAT
from lab.evidence.seal import KEY, digest_of
from lab.plan.cases import CASES, Case, ClientSpec
from lab.plan.nics import NICS
from lab.units import MIB, PAGE_SIZE
from lab.verdict.decide import judge
from lab.verdict.model import Verdict
from tests.unit.verdict.machine import KERNELS, Client, Json, Kernel, Machine

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
        self.checkpoints.append({**line, "t": round(self.machine.t, 6), "parent": self.machine.parent()})

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
        self.say(client, "ready", name=spec.name, behaviour=spec.behaviour, port=5000, pid=client.pid, cgroup=None)
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
        return bool(client.limit and not forced and self.machine.wants(client, BURST, 0) > client.limit)

    def _half_step(self) -> None:
        self.machine.t += STEP / 2
        for spec in self.case.clients:
            client = self.machine.clients[spec.name]
            if spec.rate and client.alive and client.procs:
                client.take(round(spec.rate * STEP), spec.ring)
                self.say(client, "progress")

    def end_of_stream(self, client: Client, spec: ClientSpec) -> None:
        """The client says why no more comes: it is complete, it was refused, or its stream ended."""
        refused = bool(spec.deliver) and client.behaviour != "slow" and client.delivered < _wanted(spec)
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


def compared(kernel: Kernel = Kernel(), *, work: float = WORK, same: bool = False) -> Story:  # noqa: B008
    """A run of `cost` on a kernel that needs so many instructions for a MB, beside one that needs WORK."""
    told, told.reference = _told("cost", kernel, work=work), _told("cost", KERNELS["stock"])
    told.manifest["reference"] = "stock"
    if not same:
        told.manifest["kernel"] = {**told.manifest["kernel"], "sha256": "1" * 64}
    return told


def story(case: str, kernel: Kernel = Kernel(), *, nic: str = "e1000e-split", deliver: int = 0) -> Story:  # noqa: B008
    """A whole run of a case on a kernel; judged PASS when the kernel charges everything. `deliver` bends the case."""
    return compared(kernel) if CASES[case].compares else _told(case, kernel, nic=nic, deliver=deliver)


def _told(case: str, kernel: Kernel, *, nic: str = "e1000e-split", deliver: int = 0, work: float = WORK) -> Story:
    table = CASES[case]
    # Turns are told as they come, not by the clock of a steady stream.
    clients = tuple(
        replace(c, deliver=deliver or c.deliver, rate=0 if table.compares or c.lowered else c.rate)
        for c in table.clients
    )
    told = _begin(replace(table, clients=clients), kernel, nic)
    told.work, began = work, told.machine.t
    told.wait(3)
    if "buried" in table.rules:
        told.machine.dying = 1
        told.mark("control")
    told.bookend("baseline")
    told.wait(1)
    _SCRIPTS.get(case, _ordinary)(told)
    told.wait(2)
    for spec in told.case.clients if not told.case.compares else ():
        told.quit(spec)
    told.wait(2)
    told.machine.dying = 0
    told.mark("end")
    for client in told.machine.clients.values():
        client.cgroup = False
    told.wait(1)
    told.bookend("after")
    told.wait(1)
    told.manifest["seconds"] = {"provision": 1.0, "drive": told.machine.t - began, "collect": 0.1}
    return told


def _ordinary(told: Story) -> None:
    """Every client takes its stream; what they keep is looked at; they let go."""
    for spec in told.case.clients:
        client = told.start(spec)
        _take(told, client, spec)
        if told.case.compares:
            client.drop()
            told.quit(spec)
    if told.case.name == "file-mapped":
        for client in told.machine.clients.values():
            told.say(client, "smaps", resident=client.mapped_now)
    told.wait(2)
    alive = [c for c in told.machine.clients.values() if c.alive and c.procs]
    if alive:
        told.mark("held")
    if told.case.name == "dead-memcg":
        _bury(told, alive[0])
    told.wait(2)
    for client in alive:
        told.machine.release(client)
        told.say(client, "released")
    told.wait(2)
    told.mark("released")


def _wanted(spec: ClientSpec) -> int:
    """What it takes off its sockets when nothing stops it."""
    return spec.deliver - spec.sockets * spec.leave


def _take(told: Story, client: Client, spec: ClientSpec) -> None:
    told.pour(client, _wanted(spec))
    client.queued += spec.sockets * spec.leave
    client.twice += spec.sockets * 16 * PAGE_SIZE * bool(spec.leave)
    if told.case.compares and spec.deliver < BURST:
        told.wait(20)  # a trickle
    if client.behaviour == "copy":
        client.anon = min(client.anon, spec.ring or client.anon)
    stopped = client.delivered < _wanted(spec) and client.behaviour != "slow"
    killing = told.machine.kernel.at_limit != "refuse" and not client.unkillable
    if stopped and (client.behaviour == "copy" or killing):
        told.machine.oom_kill(client, memcg=True)
    else:
        told.end_of_stream(client, spec)


def _refused(told: Story) -> None:
    """refused: the ordinary way, and then the cgroup is removed."""
    _ordinary(told)
    _bury(told, told.machine.clients["abuser"])


def _lowered(told: Story) -> None:
    """never-over-lowered: half-way the limit falls below what is held, and the stream goes on."""
    (spec,) = told.case.clients
    client = told.start(spec)
    told.pour(client, 5 * BURST)
    client.limit = spec.lowered
    told.wait(2)
    told.mark("lowered")
    told.pour(client, _wanted(spec) - client.delivered)
    told.end_of_stream(client, spec)
    told.wait(2)
    told.mark("held")
    told.wait(2)
    told.machine.release(client)
    told.say(client, "released")
    told.wait(2)
    told.mark("released")


def _bury(told: Story, client: Client) -> None:
    client.procs, client.cgroup = 0, False
    told.say(client, "left", cgroup="/sys/fs/cgroup/other")
    told.machine.dying = 2
    told.wait(2)
    told.mark("removed")


def _bystander(told: Story) -> None:
    """The innocent runs; the abuser takes what it gets; where nothing stops it, the guest kills the innocent."""
    innocent, abuser = told.case.clients
    told.start(innocent)
    told.wait(30)
    client = told.start(abuser)
    told.pour(client, abuser.deliver, until_free=200 * MIB)
    bystander = told.machine.clients[innocent.name]
    if told.machine.wants(client, BURST, 0) > (abuser.limit or 0):
        if told.machine.kernel.at_limit != "refuse":
            told.machine.oom_kill(client, memcg=True)
        else:
            told.end_of_stream(client, abuser)
    else:
        told.machine.oom_kill(bystander, memcg=False)
        told.wait(2)
        told.pour(client, 2 * BURST)  # what the dead one left
        told.say(client, "holding", reason="eof")
    told.wait(30)
    for alive in (c for c in (client, bystander) if c.alive):
        alive.drop()
        told.say(alive, "released")
    told.mark("released")


def _turns(told: Story) -> None:
    """cross-memcg: one after the other, then two at once."""
    specs = {spec.name: spec for spec in told.case.clients}
    for name, checkpoint in (("a1", "a1"), ("b1", "b1"), ("a2", "a2"), ("b2", "held")):
        _turn(told, [specs[name]], checkpoint)
    _turn(told, [specs["a3"], specs["b3"]], "both")


def _turn(told: Story, specs: list[ClientSpec], checkpoint: str) -> None:
    clients = [told.start(spec) for spec in specs]
    for client, spec in zip(clients, specs, strict=True):
        _take(told, client, spec)
    told.wait(2)
    told.mark(checkpoint)
    told.wait(2)
    for client in clients:
        told.machine.release(client)
        told.say(client, "released")
    told.wait(2)


def _settings(told: Story) -> None:
    """opt-in: both settings; a driver that has not opted in is refused under the second."""
    lenient, strict = told.case.clients
    _turn(told, [lenient], "lenient")
    told.machine.accounted_only = 1
    told.machine.clients[strict.name].refusal = 22 * (told.machine.kernel.sysctl and not told.machine.kernel.mapped)
    _turn(told, [strict], "held")
    told.machine.accounted_only = 0


def _pressed(told: Story) -> None:
    """reclaim: the ordinary way, then somebody takes more than is free."""
    _ordinary(told)
    told.machine.press(told.machine.free() + told.machine.cached * 3 // 4)
    told.wait(2)
    told.mark("pressed")
    told.wait(2)
    told.machine.taken = 0


_SCRIPTS = {
    "bystander": _bystander,
    "cross-memcg": _turns,
    "opt-in": _settings,
    "reclaim": _pressed,
    "refused": _refused,
    "never-over-lowered": _lowered,
}


def _begin(case: Case, kernel: Kernel, nic: str) -> Story:
    clients = {
        c.name: Client(c.name, c.behaviour, c.limit, ino=500 + i, pid=300 + i, unkillable=c.unkillable)
        for i, c in enumerate(case.clients)
    }
    machine = Machine(kernel, clients)
    machine.console += ["[    0.000000] Linux version 6.12.0-lab", "lab-init: ready"]
    preflight = {"t": 90.0, "event": "done", "delivered": 4 * MIB, "mapped": round(3.9 * MIB), "hash": "0"}
    told = Story(case, machine, _manifest(case, nic), preflight=[preflight])
    told.sender_console.append("[    0.000000] Linux version 6.12.0-lab")
    told.clients = {c.name: [] for c in case.clients}
    return told


def _manifest(case: Case, nic: str) -> Json:
    zero = "0" * 64
    shape = case.shape
    return {
        "format": FORMAT,
        "run": f"test.{nic}.{case.name}.0",
        "case": case.name,
        "nic": nic,
        "repeat": 0,
        "predicted": "PASS",
        "kernel": {"name": "k", "release": "6.12.0-lab", "design": "stock", "sha256": zero, "config_sha256": zero},
        "host": {
            "qemu": "7.2.0",
            "libvirt": "9.0.0",
            "accelerator": "tcg",
            "connection": "qemu:///embed",
            "machine": "pc-q35-7.2",
            "image_sha256": zero,
        },
        "pair": {
            "id": "p0",
            "shape": shape.name,
            "receiver_mib": shape.receiver_mib,
            "sender_mib": shape.sender_mib,
            "runs_before": 0,
            "cmdline": "quiet",
        },
        "mtu": NICS[nic].mtu,
        "floor": NICS[nic].floor,
        "clients": [_client_row(c) for c in case.clients],
        "incidents": [],
        "seconds": {"provision": 1.0, "drive": 2.0, "collect": 0.1},
        "started": "2026-01-01T00:00:00Z",
        "lab_version": "0.1.0",
        "reproduce": "lab run",
    }


def _client_row(spec: ClientSpec) -> Json:
    return {
        "name": spec.name,
        "behaviour": spec.behaviour,
        "limit": spec.limit,
        "lowered": spec.lowered,
        "deliver": spec.deliver,
        "argv": ["zc-client"],
        "sender_argv": ["zc-sender"],
        "seed": 1,
        "status": 0,
        "sender_status": 0,
    }
