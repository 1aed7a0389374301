# SPDX-License-Identifier: GPL-2.0-only
"""A pair that is ready for traffic: booted, given its roles, connected, and proved to do what its runs ask about."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from lab.collect.stream import last_lines, size
from lab.contracts import Address, Progress
from lab.drive.role import ensure_settings
from lab.drive.ssh import Dialler, GuestShell, Program
from lab.errors import Fault, HostTrouble
from lab.evidence.programs import counting, parse_program, share
from lab.experiments.found import case_named
from lab.pair.timeline import Timeline
from lab.plan.case import ClientSpec, Traffic
from lab.plan.commands import cgroup_of
from lab.plan.matrix import Run
from lab.plan.names import Family, Role, digest, other
from lab.plan.session import SessionPlan
from lab.provision.guest import Guest
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import Pair, PairRequest, provisioned
from lab.units import Deadline, wait_until

CONSOLE_LAG, CONSOLE_LINES = timedelta(seconds=2), 1000
"""How much later than the log a console may show a line, and how far above its end."""

PREFLIGHT_PORT = 5000


@dataclass
class Stream:
    """A client, and its peer in the other guest."""

    spec: ClientSpec
    client: Program
    peer: Program


@dataclass
class ReadyPair:
    """A pair and its open shells.

    served  runs it has been used for
    warm    key of the saved state it was restored from, "" when it was booted;  note  why it was booted, or again
    fast_clock  the guest whose clock ran away while it booted, "" when both kept time
    """

    pair: Pair
    shells: dict[Role, GuestShell]
    changed: threading.Condition
    served: int = 0
    warm: str = ""
    note: str = ""
    fast_clock: str = ""

    @property
    def receiver(self) -> GuestShell:
        return self.shells["receiver"]

    @property
    def sender(self) -> GuestShell:
        return self.shells.get("sender", self.receiver)

    @property
    def tested(self) -> GuestShell:
        """Of the guest under test."""
        return self.shells[self.pair.request.tested]

    @property
    def beside(self) -> GuestShell:
        """Of the other guest; of the only one there is."""
        return self.shells.get(other(self.pair.request.tested), self.tested)

    @property
    def traffic(self) -> Traffic:
        """How its runs make traffic. Raises HostTrouble for a pair that was made for none."""
        if self.pair.request.traffic is None:
            raise HostTrouble(f"pair {self.pair.request.id} was made for no traffic")
        return self.pair.request.traffic

    @property
    def captures(self) -> Path:
        return self.pair.request.captures

    def start_client(self, client: ClientSpec, port: int, seed: int, folder: Path) -> Program:
        """Make the client's cgroup and start it; returns when it listens. Raises CommandFailed, GuestLost, ..."""
        group = cgroup_of(client.path)
        limit = "max" if client.limit is None else str(client.limit)
        # by the shell that becomes the client: a command of its own costs a process and a round trip
        make = f'mkdir {group} && echo {limit} > {group}/memory.max && exec "$@"'
        argv = ("sh", "-c", make, client.name, *self.traffic.client(client, port, seed))
        program = self.tested.start(client.name, argv, folder / f"{client.name}.jsonl")
        program.wait("readiness", lambda p: p.said("ready"), Deadline.after("readiness", timedelta(seconds=30)))
        return program

    def start_peer(self, client: ClientSpec, port: int, seed: int, folder: Path, family: Family = "ipv4") -> Program:
        """Start the peer of a client, in the other guest. Raises GuestLost."""
        tested, mss = self.pair.request.tested, self.pair.request.nic.mss
        argv = self.traffic.peer(client, self.pair.addresses[tested].of(family), port, seed, mss)
        return self.beside.start(f"{client.name}'s {other(tested)}", argv, folder / f"{client.name}.jsonl")

    def troubles(self) -> tuple[Fault, ...]:
        """What was seen of its guests since somebody last asked: time they had not, floods, captures that changed."""
        floods = (Fault("flood", role, why) for role, shell in self.shells.items() for why in shell.take_floods())
        return (*self.pair.watch.troubles(), *floods)

    def check_floods(self) -> None:
        """Raises Flood when a program or a command said more than it may."""
        for shell in self.shells.values():
            shell.check_floods()

    def hang_up(self) -> None:
        """Close every connection to the guests."""
        for shell in self.shells.values():
            shell.dialler.close()

    def remove_cgroup(self, path: str) -> None:
        """Remove a client's cgroup; its processes have ended or left. Raises CommandFailed, GuestLost."""
        self.tested.check(["rmdir", cgroup_of(path)])


def await_canary(guest: Guest, token: str) -> None:
    """A console may print later than the log takes a line. Raises DeadlinePassed for one that does not show it."""
    console, wanted = Path(guest.plan.console), token.encode()

    def shown() -> tuple[bool | None, object]:
        return (True if any(wanted in line for line in last_lines(console, CONSOLE_LINES)) else None), size(console)

    wait_until(shown, deadline=Deadline.after(f"canary on the {guest.role}'s console", CONSOLE_LAG))


def address_of(request: PairRequest, guest: Guest) -> Address:
    """Where a guest's SSH server answers, and which key opens it."""
    return Address("127.0.0.1", guest.ssh_port, request.key_file)


def dialler_of(request: PairRequest, guest: Guest) -> Dialler:
    return Dialler(guest.plan.name, address_of(request, guest), guest.signals.hostkey)


def _preflight(ready: ReadyPair) -> None:
    """A few MiB through a well-behaved client: do this kernel, NIC and MTU do what the cases are about?

    The answer is evidence, judged by a rule; it is kept in the pair's captures and copied into each bundle.
    """
    folder, spec = ready.captures / "preflight", ready.traffic.preflight.client
    client = ready.start_client(spec, PREFLIGHT_PORT, 0, folder / "client")
    peer = ready.start_peer(spec, PREFLIGHT_PORT, 0, folder / other(ready.pair.request.tested))
    deadline = Deadline.after("the preflight's bytes", ready.pair.request.limits.preflight)
    client.wait("delivery", lambda p: p.said("holding"), deadline)
    for program in (client, peer):
        program.close()
        program.wait("the end", lambda p: p.ended, deadline)
    ready.remove_cgroup(spec.name)


def preflight_reached(ready: ReadyPair) -> tuple[float, float]:
    """The share that a pair's preflight came to, and the floor of its NIC. Raises HostTrouble where it had none."""
    traffic, path = ready.traffic, ready.captures / "preflight" / "client" / "preflight.jsonl"
    log = counting(parse_program("preflight", path.name, path.read_bytes()), traffic.counters)
    return share(log, traffic.preflight), traffic.preflight.floor(ready.pair.request.nic)


def pair_request(plan: SessionPlan, run: Run, attempt: int) -> PairRequest:
    """What to provision for this run and those after it that can share the pair; `attempt` counts pairs of its key."""
    pair_id = digest(run.id, attempt)
    return PairRequest(
        id=pair_id,
        nic=run.profile,
        shape=run.shape,
        kernel=plan.kernel(run.kernel),
        image=plan.image,
        accelerator=plan.accelerator,
        captures=plan.folder / "pairs" / pair_id,
        sockets=plan.sockets / "s",
        limits=plan.limits_of(run.kernel),
        traffic=case_named(run.case).traffic,
        plugin=plan.plugin if run.shape.counted else None,
        layer=plan.layer(run.layer),
    )


@contextlib.contextmanager
def connected_pair(
    hypervisor: Hypervisor, request: PairRequest, progress: Progress, timeline: Timeline | None = None
) -> Iterator[ReadyPair]:
    """Provision a pair with its settings, and log in. Raises LabTrouble; all is gone when the block ends."""
    timeline = timeline or Timeline()
    with contextlib.ExitStack() as stack:
        with timeline.span("settings", lane="pair"):
            request = with_settings(request, progress)
        progress("starting guests")
        with timeline.span("start guests", lane="pair"):
            pair = stack.enter_context(provisioned(hypervisor, request))
        progress("booting")
        with timeline.span("boot and connect", lane="pair"):
            ready = _arrived(stack, pair, timeline)
        progress("waiting for carrier")
        with timeline.span("carrier", lane="pair"):
            pair.wait_carrier()
        yield ready


def with_settings(request: PairRequest, progress: Progress) -> PairRequest:
    """The same with what its guests have to set when they boot. Raises HostTrouble."""
    return replace(request, settings=ensure_settings(request.nic, progress))


def _arrived(stack: contextlib.ExitStack, pair: Pair, timeline: Timeline) -> ReadyPair:
    """Log in to each guest as soon as it has booted, while the other one may be at it; `stack` closes the connections.

    Raises what went wrong first: GuestLost, HostTrouble, DeadlinePassed.
    """
    changed = threading.Condition()
    pool = ThreadPoolExecutor(len(pair.guests), thread_name_prefix="arrive")
    stack.callback(pool.shutdown, wait=False)
    diallers = {role: dialler_of(pair.request, guest) for role, guest in pair.guests.items()}
    for dialler in diallers.values():
        stack.callback(dialler.close)

    def arrive(role: Role, guest: Guest) -> GuestShell:
        with timeline.span("boot", lane=role):
            guest.wait_ready(pair.request.limits.boot)
        with timeline.span("connect", lane=role):
            return GuestShell(guest.plan.name, diallers[role], diallers[role].dial(), changed)

    arriving = {role: pool.submit(arrive, role, guest) for role, guest in pair.guests.items()}
    try:
        for one in as_completed(arriving.values()):
            one.result()
    except BaseException:
        for guest in pair.guests.values():
            guest.abandon()
        raise
    return ReadyPair(pair, {role: one.result() for role, one in arriving.items()}, changed)


@contextlib.contextmanager
def ready_pair(
    hypervisor: Hypervisor, request: PairRequest, progress: Progress, timeline: Timeline | None = None
) -> Iterator[ReadyPair]:
    """A connected pair that has proved what its runs need, where it is for any. Raises LabTrouble."""
    timeline = timeline or Timeline()
    with connected_pair(hypervisor, request, progress, timeline) as ready:
        if request.traffic is not None:
            progress("preflight")
            with timeline.span("preflight", lane="pair"):
                _preflight(ready)
        yield ready
