# SPDX-License-Identifier: GPL-2.0-only
"""One guest: started, watched and ended. What it says on its ready port and what libvirt says of it meet here."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed, Fault, GuestLost, HostTrouble
from lab.host.interrupt import held_back
from lab.plan.channels import CONSOLE, INSTRUCTIONS, READY_PORT, TELEMETRY, Bucket
from lab.plan.commands import admit_order, settle_orders
from lab.plan.domain import GuestPlan, render
from lab.provision.confined import Needs, take_back
from lab.provision.growing import Growing
from lab.provision.hostkey import make_hostkey
from lab.provision.hypervisor import Death, Hypervisor
from lab.provision.libvirt_api import Domain
from lab.provision.process import find_emulator
from lab.provision.saved import save, take_in
from lab.provision.watch import Watch, Watched
from lab.units import KIB, Deadline

ECHO_AGAIN = timedelta(milliseconds=500)
TAIL = 16 * KIB
"""Bytes of a console that its last lines are looked for in."""

LONGEST_S = 1e9
_HOSTFWD = re.compile(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\b")


@dataclass
class Signals:
    """What a guest and libvirt have announced of it so far; written by their threads, waited for by ours."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    hostkey: str = ""
    carrier: bool = False
    ready: bool = False
    admitted: bool = False
    settled: int | None = None
    """Settings in force, as it said when it was asked."""
    resting: bool = False
    refused: bool = False
    echoes: int = 0
    clock: tuple[float, float] | None = None
    """Seconds since its boot by the guest's clock, and the host's monotonic clock, when it was ready."""
    death: Death | None = None
    said: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    flood: str = ""
    """Why the ready port is not listened to any more; "" while it is."""
    ended: str = ""
    """lab-telemetry once it has told that this has ended; "" before."""
    abandoned: bool = False
    """Whether whoever waited for this guest has given up."""

    def died(self, death: Death) -> None:
        """Told by libvirt."""
        with self.changed:
            self.death = death
            self.changed.notify_all()

    def await_death(self, seconds: float) -> Death | None:
        """What libvirt has told by then; None when it has told nothing."""
        with self.changed:
            self.changed.wait_for(lambda: self.death is not None, timeout=seconds)
            return self.death

    def heard(self, line: str) -> None:
        """One line of the ready port; see images/guest/lab-init.c. What is none of its lines changes nothing."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return
        with self.changed:
            self.said.append(line.strip())
            match message:
                case {"event": "ready"}:
                    self.ready = True
                    self.clock = (_seconds(message.get("t", 0)), time.monotonic())
                case {"event": "awake" | "admitted" | "resting" | "refused" as event}:
                    setattr(self, "ready" if event == "awake" else event, True)
                case {"event": "echo"}:
                    self.echoes += 1
                case {"event": "settled", "settings": int(settings)}:
                    self.settled = settings
                case {"event": "died", "program": "lab-telemetry" as program}:
                    self.ended = program
                case {"event": "link", "carrier": carrier}:
                    self.carrier = bool(carrier)
            self.changed.notify_all()


@dataclass(frozen=True)
class Guest:
    """A running guest."""

    plan: GuestPlan
    xml: str
    hypervisor: Hypervisor
    domain: Domain
    ssh_port: int
    signals: Signals
    port: socket.socket | None = None
    login: str = ""
    """The key that opens it; "" for one that nobody shall get into."""
    settings: tuple[str, ...] | None = None
    """What it has to set when it boots; None where nobody has said."""

    @property
    def role(self) -> str:
        return self.plan.role

    @property
    def death(self) -> Death | None:
        return self.signals.death

    @property
    def ended(self) -> str:
        """The program whose end its init has told, "" for none."""
        return self.signals.ended

    @property
    def telemetry(self) -> Path:
        return Path(self.plan.telemetry)

    def emulator_answers(self, limit: timedelta) -> bool:
        """Whether QEMU says that it runs the guest; one that was stopped or paused from outside does not."""
        return self.hypervisor.answers(self.domain, limit)

    def console_tail(self, lines: int = 8) -> str:
        """Last lines of the serial console."""
        with contextlib.suppress(FileNotFoundError):
            with Path(self.plan.console).open("rb") as console:
                console.seek(max(0, console.seek(0, os.SEEK_END) - TAIL))
                text = console.read(TAIL).decode(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def wait(self, what: str, is_true: Callable[[Signals], bool], limit: timedelta) -> None:
        """Wait for a signal of this guest. Raises GuestLost when it dies first, DeadlinePassed."""
        deadline = Deadline.after(f"{what} of {self.plan.name}", limit)
        signals = self.signals
        with signals.changed:
            while not is_true(signals):
                if signals.death is not None:
                    raise GuestLost(f"{self.plan.name} is gone: {signals.death}\n{self.console_tail()}")
                if signals.abandoned:
                    raise GuestLost(f"nobody waits for {self.plan.name} any more")
                if not signals.changed.wait(timeout=deadline.remaining) and deadline.expired:
                    raise deadline.passed(f"ready port {list(signals.said)[-2:]}, console: {self.console_tail(2)!r}")

    def tell(self, order: str) -> None:
        """Give lab-init an order on the ready port. Raises GuestLost."""
        try:
            if self.port is not None:
                self.port.sendall(order.encode() + b"\n")
        except OSError as exc:
            raise GuestLost(f"{self.plan.name} takes no orders: {exc}") from exc

    def abandon(self) -> None:
        """Whoever waits for it in another thread need not go on."""
        with self.signals.changed:
            self.signals.abandoned = True
            self.signals.changed.notify_all()

    def greet(self) -> None:
        """Tell a guest that boots which host key it has, whom it lets in, and what it sets: it reads that when it is
        there. Raises GuestLost."""
        orders: tuple[str, ...] = ()
        if self.login:
            key = make_hostkey()
            self.signals.hostkey = key.public
            orders = (admit_order(key.file, self.login),)
        if self.settings is not None:
            orders += settle_orders(self.settings)
        if orders:
            self.tell("\n".join(orders))

    def rest(self, limit: timedelta) -> None:
        """Wait until nothing but init and telemetry runs. Raises GuestLost, DeadlinePassed."""
        self.tell("rest")
        self.wait("rest", lambda s: s.resting or s.refused, limit)
        if not self.signals.resting:
            raise GuestLost(f"{self.plan.name} could not come to rest\n{self.console_tail()}")

    def wake(self, order: str, hostkey: str, limit: timedelta) -> None:
        """Have a restored guest take an identity of its own, with that host key. Raises GuestLost, DeadlinePassed."""
        self.signals.hostkey = hostkey
        self.tell(order)
        self.wait("an identity of its own", lambda s: s.ready or s.refused, limit)
        if not self.signals.ready:
            raise GuestLost(f"{self.plan.name} could not wake as it was told\n{self.console_tail()}")

    def echo(self, address: str, limit: timedelta) -> None:
        """Wait for an answer from the other end of the link; asked again where one is lost. Raises as `wait` does."""
        deadline = Deadline.after(f"an echo from {address}", limit)
        while not self.signals.echoes:
            self.tell(f"echo {address}")
            with contextlib.suppress(DeadlinePassed):
                self.wait("an echo", lambda s: s.echoes > 0, ECHO_AGAIN)
            if deadline.expired and not self.signals.echoes:
                raise deadline.passed(f"nothing, from {self.plan.name}")

    def suspend(self) -> None:
        self.hypervisor.suspend(self.domain)

    def save(self, state: Path) -> None:
        """Write its devices; see lab.provision.saved."""
        save(self.hypervisor, self.domain, state)

    def wait_ready(self, limit: timedelta) -> None:
        """Until it has booted, lets in whom it was told to, and has made its settings. Raises HostTrouble where one of
        them is not in force, GuestLost, DeadlinePassed."""
        self.wait("the ready line", lambda s: s.refused or self._obeyed(s), limit)
        signals = self.signals
        if signals.refused or (self.settings is not None and signals.settled != len(self.settings)):
            count = "" if signals.refused else f": it counts {signals.settled}, and was told {self.settings}"
            raise HostTrouble(f"{self.plan.name} did not do as it was told{count}\n{self.console_tail()}")

    def _obeyed(self, signals: Signals) -> bool:
        """Whether it is ready, and has answered all that it was told."""
        admitted, settled = signals.admitted or not self.login, signals.settled is not None or self.settings is None
        return signals.ready and admitted and settled

    def wait_carrier(self, limit: timedelta) -> None:
        self.wait("carrier", lambda s: s.carrier, limit)


def _seconds(said: object) -> float:
    """A guest's time; 0 for what cannot be one."""
    return float(said) if isinstance(said, int | float) and 0 <= said < LONGEST_S else 0.0


def listen(signals: Signals, port: socket.socket) -> None:
    """Hear the ready port until the guest hangs up, or says more than this port may carry."""
    bucket = Bucket(READY_PORT)
    with port, port.makefile("rb") as lines, contextlib.suppress(OSError):
        while line := lines.readline(READY_PORT.width + 1):
            if over := bucket.hear(time.monotonic(), line):
                with signals.changed:
                    signals.flood = over
                return
            signals.heard(line.decode(errors="replace"))


def _open_ready_port(path: str) -> socket.socket:
    """libvirt returns from createXML when QEMU listens on it."""
    port = socket.socket(socket.AF_UNIX)
    try:
        port.connect(path)
    except OSError as exc:
        port.close()
        raise HostTrouble(f"cannot open the ready port {path}: {exc}") from exc
    return port


def _ssh_port(hypervisor: Hypervisor, domain: Domain) -> int:
    """QEMU was asked for any free port of loopback: read which one it took."""
    usernet = hypervisor.monitor(domain, "info usernet")
    match = _HOSTFWD.search(usernet)
    if match is None:
        raise HostTrouble(f"QEMU forwards no port to SSH; it says: {usernet}")
    return int(match.group(1))


def _watched(hypervisor: Hypervisor, domain: Domain, plan: GuestPlan, signals: Signals) -> Watched:
    """Its QEMU and all that it writes."""
    files = ((plan.console, CONSOLE), (plan.telemetry, TELEMETRY), (plan.instructions, INSTRUCTIONS))
    captures = tuple(Growing(Path(path), cap) for path, cap in files if path)
    end = functools.partial(hypervisor.end, domain)
    return Watched(plan.role, find_emulator(plan.name), captures, signals, end)


def _created(hypervisor: Hypervisor, plan: GuestPlan, xml: str, signals: Signals, needs: Needs) -> Domain:
    """A host that cannot start a guest says nothing of the state that it was to be restored from."""
    try:
        return hypervisor.create(plan.name, xml, signals.died, needs, paused=bool(plan.state))
    except HostTrouble as exc:
        exc.add_seen([Fault("host", plan.role, exc.message)])
        raise


@contextlib.contextmanager
def started(
    hypervisor: Hypervisor,
    plan: GuestPlan,
    login: str = "",
    watch: Watch | None = None,
    settings: tuple[str, ...] | None = None,
) -> Iterator[Guest]:
    """Start a guest, or restore it; it is gone, whatever happens, when the block ends. Raises HostTrouble, GuestLost.

    One that boots is told which key it lets in, and what it sets; one that is restored when it wakes.
    It is watched from its first moment on by `watch`, or by one of its own.
    """
    signals = Signals()
    xml = render(plan)
    needs = Needs(*(tuple(map(Path, paths)) for paths in (plan.reads, plan.writes, plan.folders, plan.shared)))
    domain = None
    with contextlib.ExitStack() as stack:
        watch = watch or stack.enter_context(Watch())
        try:
            with held_back():
                domain = _created(hypervisor, plan, xml, signals, needs)
            with watch.over(_watched(hypervisor, domain, plan, signals)) as watched, watch.until_known():
                port = _open_ready_port(plan.ready_socket)
                threading.Thread(target=listen, args=(signals, port), name=f"ready-{plan.name}", daemon=True).start()
                if plan.state:
                    watched.takes_in = True
                    take_in(hypervisor, domain, Path(plan.state))
                    watched.takes_in = False
                ssh_port = _ssh_port(hypervisor, domain)
                guest = Guest(plan, xml, hypervisor, domain, ssh_port, signals, port, login, settings)
                if not plan.state:
                    guest.greet()
                yield guest
        finally:
            with held_back():
                if domain is not None:
                    hypervisor.destroy(plan.name, domain)
                if hypervisor.account is not None:
                    take_back(needs)
                Path(plan.ready_socket).unlink(missing_ok=True)
