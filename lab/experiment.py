"""What a suite's script does with a pair, step by step, and what becomes of it: a bundle, however it ends."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

import structlog

from lab.collect.bundle import BundleWriter
from lab.collect.stream import Mark, last_lines, mark, since, size
from lab.contracts import Progress
from lab.drive.ssh import Program
from lab.errors import CommandFailed, DeadlinePassed, GuestLost, LabTrouble
from lab.evidence.manifest import Incident
from lab.evidence.memory import unexplained
from lab.evidence.model import Sample
from lab.evidence.telemetry import parse_checkpoints, parse_telemetry
from lab.pairs import PairKeeper, ReadyPair
from lab.plan.cases import ClientSpec
from lab.plan.commands import CGROUPS, FIRST_PORT, checkpoint_argv, client_argv, sender_argv
from lab.plan.matrix import Run
from lab.provision.guest import Guest
from lab.units import MIB, Deadline, wait_until

DELIVERY_LIMIT = timedelta(seconds=180)
ANSWER_LIMIT = timedelta(seconds=40)
SETTLE_LIMIT = timedelta(seconds=6)
SILENCE_LIMIT = timedelta(seconds=20)
STALL = timedelta(seconds=3)
DEATH_LIMIT = timedelta(seconds=2)
CLEAN = 8 * MIB
"""Unexplained memory a run may leave behind before its pair is no longer fit for the next run."""

Kind = Literal["boot", "lost", "deadline", "qemu-exit", "interrupted", "host", "hang"]


class NothingToMeasureError(LabTrouble):
    """The preflight found this kernel and NIC below the profile's floor: no traffic is worth sending."""


def now() -> str:
    """Host time of day, ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@dataclass
class Stream:
    """A client and the sender that feeds it."""

    spec: ClientSpec
    client: Program
    sender: Program


@dataclass
class Experiment:
    """One run in progress. Use it as a `with` block: lab trouble inside ends the block, and is told in the bundle."""

    run: Run
    keeper: PairKeeper
    bundle: BundleWriter
    progress: Progress
    incidents: list[Incident] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"provision": 0.0, "drive": 0.0, "collect": 0.0})
    pair: ReadyPair | None = None
    trouble: LabTrouble | None = None
    runs_before: int = 0
    dying_control: int = 0
    _marks: dict[str, Mark] = field(default_factory=dict)
    _began: float = 0.0
    _driver: IO[str] | None = None
    _gone_groups: set[str] = field(default_factory=set)

    # -- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._driver = self.bundle.path("driver.jsonl").open("w")
        self.log = structlog.wrap_logger(
            structlog.WriteLogger(self._driver),
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        ).bind(run=self.run.id)
        began = time.monotonic()
        try:
            self.pair = self.keeper.acquire(self.run)
        except LabTrouble as exc:
            self.trouble = exc  # raised again by the first step, inside the block, where it can be collected
        else:
            self.runs_before = self.pair.served
            self.pair.served += 1
            self._mark()
        self.seconds["provision"] = time.monotonic() - began
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        self.seconds["drive"] = time.monotonic() - self._began
        began = time.monotonic()
        try:
            if isinstance(exc, KeyboardInterrupt):
                self._incident("interrupted", "", "interrupted by the user")
            elif isinstance(exc, LabTrouble) and not isinstance(exc, NothingToMeasureError):
                self._blame(exc)
            self._collect()
        finally:
            if exc is not None or not self._is_clean():
                self.keeper.drop()
            self.seconds["collect"] = time.monotonic() - began
            if self._driver is not None:
                self._driver.close()
        return isinstance(exc, LabTrouble)

    @property
    def ready(self) -> ReadyPair:
        """The pair. Raises the trouble that kept us from having one."""
        if self.pair is None:
            raise self.trouble or GuestLost("there is no pair")
        return self.pair

    # -- steps --------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start the named clients of the case (all, when none is named) and the streams that feed them."""
        if not self.streams:
            self._require_preflight()
            self.checkpoint("baseline")
        specs = self.run.spec.clients
        for port, spec in enumerate(specs, start=FIRST_PORT):
            if names and spec.name not in names:
                continue
            self._step("start", client=spec.name)
            client = self.ready.start_client(spec, port, self.run.seed, self.bundle.root / "clients")
            sender = self.ready.start_sender(spec, port, self.run.seed, self.bundle.root / "senders")
            self.streams[spec.name] = Stream(spec, client, sender)
            client.wait("connections", lambda p: p.said("accepted"), Deadline.after("connections", ANSWER_LIMIT))

    def delivered(self, *names: str) -> None:
        """Wait until the named clients (all) hold what they were sent, or have ended."""
        deadline = Deadline.after("delivery", DELIVERY_LIMIT)
        for name in names or tuple(self.streams):
            self._step("delivered", client=name)
            self._watch(self.streams[name].client, lambda p: p.said("holding") or p.ended, deadline)

    def flowing(self, name: str, *, bytes_more: int) -> None:
        """Wait until a client has taken that many bytes more, or has ended."""
        self._step("flowing", client=name, bytes_more=bytes_more)
        client = self.streams[name].client
        goal = int(client.last().get("delivered", 0)) + bytes_more
        deadline = Deadline.after(f"{bytes_more} bytes more for {name}", DELIVERY_LIMIT)
        self._watch(client, lambda p: int(p.last().get("delivered", 0)) >= goal or p.ended, deadline)

    def until_something_gives(self, name: str) -> None:
        """Wait until the abuser has all it wants, any client has ended, or nothing reaches the abuser any more."""
        self._step("until something gives", client=name)
        abuser = self.streams[name].client
        seen = [(-1, time.monotonic())]

        def given() -> tuple[str | None, object]:
            self._check_guests()
            taken = int(abuser.last().get("delivered", 0))
            if taken != seen[0][0]:
                seen[0] = (taken, time.monotonic())
            ended = [s.spec.name for s in self.streams.values() if s.client.ended]
            if ended:
                return f"{', '.join(ended)} ended", taken
            if abuser.said("holding"):
                return f"{name} holds", taken
            stalled = time.monotonic() - seen[0][1] > STALL.total_seconds()
            return (f"{name} stalled at {taken}" if stalled else None), taken

        what = wait_until(given, deadline=Deadline.after("something to give", DELIVERY_LIMIT))
        self._step("something gave", what=what)

    def observe(self, samples: int) -> None:
        """Let the guests run while telemetry takes that many more samples (ten a second), unless it falls silent."""
        self._step("observe", samples=samples)
        path = Path(self.ready.pair.receiver.plan.telemetry)
        goal = self._sequence(path) + samples

        def seen() -> tuple[bool | None, object]:
            self._check_guests()
            sequence = self._sequence(path)
            return (True if sequence >= goal else None), f"sample {sequence} of {goal}"

        wait_until(seen, deadline=Deadline.after("telemetry", SILENCE_LIMIT + timedelta(seconds=samples)))

    def checkpoint(self, name: str) -> Sample | None:
        """Have the receiver count everything once; None when its answer cannot be read (which the rules will see)."""
        self._step("checkpoint", name=name)
        line = self.ready.receiver.check(list(checkpoint_argv(name)), seconds=ANSWER_LIMIT.total_seconds())
        with self.bundle.path("receiver/checkpoints.jsonl").open("ab") as f:
            f.write(line)
        samples = parse_checkpoints(line).samples
        return samples[-1] if samples else None

    def settled(self, what: str, is_settled: Callable[[Sample], bool]) -> None:
        """Give counters that are batched or flushed late (2 s) time to arrive; what they say then is evidence."""
        path = Path(self.ready.pair.receiver.plan.telemetry)

        def arrived() -> tuple[bool | None, object]:
            self._check_guests()
            samples = parse_telemetry(b"\n".join(last_lines(path, 1)) + b"\n").samples
            return (True if samples and is_settled(samples[-1]) else None), what

        try:
            wait_until(arrived, deadline=Deadline.after(what, SETTLE_LIMIT))
            self._step("settled", what=what)
        except DeadlinePassed as exc:
            self._step("not settled", what=str(exc))

    def release(self, *names: str) -> None:
        """Have the named clients (all that live) drop every reference."""
        for stream in self._living(names):
            self._step("release", client=stream.spec.name)
            stream.client.tell("release")
        for stream in self._living(names):
            self._watch(
                stream.client,
                lambda p: p.said("released") or p.ended,
                Deadline.after(f"release by {stream.spec.name}", ANSWER_LIMIT),
            )

    def bury(self, name: str) -> None:
        """Move a client out of its cgroup and remove the cgroup while the client's pages are out."""
        self._step("bury", client=name)
        client = self.streams[name].client
        client.tell("leave /sys/fs/cgroup")
        client.wait("leaving its cgroup", lambda p: p.said("left"), Deadline.after("leave", ANSWER_LIMIT))
        self.ready.remove_cgroup(name)
        self._gone_groups.add(name)

    def bury_control(self) -> None:
        """The control of `bury`: a cgroup made, used by an ordinary process and removed."""
        self._require_preflight()
        group = f"{CGROUPS}/control"
        enter = f"echo 0 > {group}/cgroup.procs; cat /proc/meminfo > /dev/null"
        self.ready.receiver.check(["sh", "-c", f"mkdir {group} && sh -c '{enter}' && rmdir {group}"])
        sample = self.checkpoint("control")
        self.dying_control = sample.dying if sample else 0

    def counter(self, name: str, key: str) -> int:
        """A counter of a client's last line."""
        return int(self.streams[name].client.last().get(key, 0))

    def end(self, *, until: Callable[[Sample], bool] = lambda _: True) -> None:
        """Clients quit, memory settles (and whatever `until` asks for besides); the last checkpoint; cgroups go."""
        for stream in self.streams.values():
            self._step("quit", client=stream.spec.name)
            stream.client.close()
        deadline = Deadline.after("programs to end", ANSWER_LIMIT)
        for stream in self.streams.values():
            for program in (stream.client, stream.sender):
                self._watch(program, lambda p: p.ended, deadline)
        start = self._baseline
        self.settled(
            "memory back", lambda s: (start is None or unexplained(s) - unexplained(start) < CLEAN // 2) and until(s)
        )
        self.checkpoint("end")
        for name in self.streams.keys() - self._gone_groups:
            self.ready.remove_cgroup(name)

    # -- helpers of the steps -----------------------------------------------------------------------------------

    def _step(self, step: str, **fields: object) -> None:
        self.log.info(step, **fields)
        self.progress(" ".join([step, *map(str, fields.values())]))

    def _living(self, names: tuple[str, ...]) -> list[Stream]:
        return [s for n, s in self.streams.items() if (not names or n in names) and not s.client.ended]

    def _watch(self, program: Program, is_true: Callable[[Program], bool], deadline: Deadline) -> None:
        """Wait on a program, and on the guests: a dead one ends the wait at once."""

        def seen() -> tuple[bool | None, object]:
            if is_true(program):
                return True, ""
            self._check_guests()
            with program.changed:
                program.changed.wait(timeout=0.25)
            return None, f"{program.name}: {program.tail(1)}"

        wait_until(seen, deadline=deadline, pause=timedelta())

    def _guests(self) -> tuple[Guest, ...]:
        return tuple(self.pair.pair.guests.values()) if self.pair else ()

    def _check_guests(self) -> None:
        for guest in self._guests():
            if guest.signals.death is not None:
                raise GuestLost(f"{guest.plan.name} is gone: {guest.signals.death}")

    @staticmethod
    def _sequence(path: Path) -> int:
        samples = parse_telemetry(b"\n".join(last_lines(path, 1)) + b"\n").samples
        return samples[-1].seq if samples else 0

    def _require_preflight(self) -> None:
        path = self.ready.captures / "preflight" / "client" / "preflight.jsonl"
        last = parse_last_counts(path.read_bytes())
        share = last["mapped"] / last["delivered"] if last["delivered"] else 0.0
        if share < self.run.profile.floor:
            raise NothingToMeasureError(
                f"{share:.0%} of the preflight's bytes could be mapped, the floor is {self.run.profile.floor:.0%}"
            )

    @property
    def _baseline(self) -> Sample | None:
        path = self.bundle.root / "receiver" / "checkpoints.jsonl"
        samples = parse_checkpoints(path.read_bytes()).samples if path.exists() else ()
        return next((s for s in samples if s.name == "baseline"), None)

    # -- whose fault, and what is kept --------------------------------------------------------------------------

    def _incident(self, kind: Kind, guest: str, detail: str) -> None:
        self.incidents.append(Incident(kind=kind, guest=guest, detail=detail, t=now()))
        self.log.info("incident", kind=kind, guest=guest, detail=detail)

    def _blame(self, exc: LabTrouble) -> None:
        """Turn trouble into an incident. A lost connection races with the guest's death: give the death its chance."""
        if self.pair is None:
            self._incident("boot", "", str(exc))
            return
        dead = self._await_death() if isinstance(exc, GuestLost | DeadlinePassed | CommandFailed) else None
        if dead is not None:
            by_itself = dead.signals.death is not None and dead.signals.death.by_itself
            self._incident("lost" if by_itself else "qemu-exit", dead.role, f"{dead.signals.death}; {exc}")
            return
        silent = self._silent_guest() if isinstance(exc, GuestLost | DeadlinePassed) else None
        if silent is not None:
            self._incident("hang", silent.role, f"no telemetry for {SILENCE_LIMIT.total_seconds():g} s; {exc}")
        elif isinstance(exc, DeadlinePassed):
            self._incident("deadline", "", str(exc))
        else:
            self._incident("lost" if isinstance(exc, GuestLost) else "host", "", str(exc))

    def _await_death(self) -> Guest | None:
        deadline = Deadline.after("a guest's death", DEATH_LIMIT)

        def dead() -> tuple[Guest | None, object]:
            return next((g for g in self._guests() if g.signals.death is not None), None), "all guests run"

        try:
            return wait_until(dead, deadline=deadline)
        except DeadlinePassed:
            return None

    def _silent_guest(self) -> Guest | None:
        """A guest whose telemetry, which is locked in memory and exempt from OOM, says nothing more."""
        before = {g.role: size(Path(g.plan.telemetry)) for g in self._guests()}

        def speaking() -> tuple[bool | None, object]:
            quiet = [g.role for g in self._guests() if size(Path(g.plan.telemetry)) == before[g.role]]
            return (True if not quiet else None), quiet

        try:
            wait_until(speaking, deadline=Deadline.after("telemetry", SILENCE_LIMIT))
        except DeadlinePassed:
            return next((g for g in self._guests() if size(Path(g.plan.telemetry)) == before[g.role]), None)
        return None

    def _mark(self) -> None:
        for role in ("receiver", "sender"):
            folder = self.ready.captures / role
            self._marks[f"{role}/telemetry.jsonl"] = mark(folder / "telemetry.jsonl")
            console = mark(folder / "console.log")
            self._marks[f"{role}/console.log"] = Mark(console.path, console.offset if self.runs_before else 0)

    def _collect(self) -> None:
        """Copy this run's part of the pair's captures. With no pair: whatever its guests said while they could."""
        captures = self.pair.captures if self.pair else self.keeper.captures
        if not self._marks:
            self._marks = {
                f"{role}/{name}": Mark(captures / role / name, 0)
                for role in ("receiver", "sender")
                for name in ("telemetry.jsonl", "console.log")
            }
        for name, start in self._marks.items():
            if start.path.exists():
                self.bundle.add(
                    name, since(start) if name.endswith(".jsonl") else start.path.read_bytes()[start.offset :]
                )
                if start.offset and name.endswith("console.log"):
                    self.bundle.add(name.replace("console", "before"), start.path.read_bytes()[: start.offset])
        for source in (*captures.glob("*/domain.xml"), *captures.glob("preflight/*/preflight.jsonl")):
            folder = source.parent.name
            name = f"preflight/{folder}.jsonl" if source.suffix == ".jsonl" else f"{folder}/domain.xml"
            self.bundle.add(name, source.read_bytes())

    def _is_clean(self) -> bool:
        """Whether the next run may use the same pair: memory came back, and the run did not end in trouble."""
        path = self.bundle.root / "receiver" / "checkpoints.jsonl"
        samples = parse_checkpoints(path.read_bytes()).samples if path.exists() else ()
        ends = {s.name: unexplained(s) for s in samples}
        return "baseline" in ends and "end" in ends and ends["end"] - ends["baseline"] < CLEAN

    def client_records(self) -> list[dict[str, Any]]:
        """What the manifest says of each client, started or not."""
        address = self.pair.pair.addresses["receiver"].v4 if self.pair else ""
        return [
            {
                "name": spec.name,
                "behaviour": spec.behaviour,
                "limit": spec.limit,
                "deliver": spec.deliver,
                "argv": client_argv(spec, port, self.run.seed),
                "sender_argv": sender_argv(spec, address, port, self.run.seed),
                "seed": self.run.seed,
                "status": self._status(spec.name, "client"),
                "sender_status": self._status(spec.name, "sender"),
            }
            for port, spec in enumerate(self.run.spec.clients, start=FIRST_PORT)
        ]

    def _status(self, name: str, which: Literal["client", "sender"]) -> int | None:
        stream = self.streams.get(name)
        return None if stream is None else cast(Program, getattr(stream, which)).status


def parse_last_counts(data: bytes) -> dict[str, int]:
    """`delivered` and `mapped` of a program's last line that has them; zeros when there is none."""
    from lab.evidence.programs import parse_program

    log = parse_program("preflight", "preflight/client.jsonl", data)
    event = log.last("holding", "done", "progress")
    return {key: event.count(key) if event else 0 for key in ("delivered", "mapped")}
