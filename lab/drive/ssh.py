# SPDX-License-Identifier: GPL-2.0-only
"""Commands in a guest over SSH. The host key is known beforehand: the guest said it on its ready port."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import paramiko

from lab.contracts import Address, CommandResult
from lab.errors import CommandFailed, DeadlinePassed, Flood, GuestLost
from lab.plan.channels import OUTPUT, Bucket
from lab.units import KIB, Deadline

# paramiko raises what it logs, and logs every connection that a guest's end cuts off.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

CONNECT_LIMIT = timedelta(seconds=40)
FIRST, LAST, NAMES = 64, 1000, 64
"""Events of a program that are kept: the first, and at least that many of the last. The names of all, within reason."""

CHUNK = 32 * KIB
QUOTED = 400
"""Characters of an event that a message quotes at most."""

SOON_S = 0.001
_TROUBLE = (paramiko.SSHException, OSError, EOFError)


@dataclass
class Program:
    """A program that runs in a guest and speaks JSON lines. `events` grows as it speaks; `status` is set at its end.

    status is the exit status as a shell gives it: 128 + N when signal N killed it, None while it runs or when the
    connection was lost before it was known.
    """

    name: str
    argv: tuple[str, ...]
    stdout: Path
    channel: paramiko.Channel
    changed: threading.Condition
    events: list[dict[str, Any]] = field(default_factory=list)
    """The first and the last it said: see FIRST and LAST."""
    status: int | None = None
    ended: bool = False
    flood: str = ""
    """Why it was cut off; "" when it was not."""
    floods: list[str] = field(default_factory=list)
    """Where its shell is told of that."""
    _names: set[str] = field(default_factory=set)

    def wait(self, what: str, is_true: Callable[[Program], bool], deadline: Deadline) -> None:
        """Wait for something this program says. Raises CommandFailed when it ends first, DeadlinePassed."""
        with self.changed:
            while not is_true(self):
                if self.flood:
                    raise Flood(self.flood)
                if self.ended:
                    raise CommandFailed(self.argv, -1 if self.status is None else self.status, self.tail())
                if not self.changed.wait(timeout=deadline.remaining) and deadline.expired:
                    raise deadline.passed(f"{what} of {self.name}: {self.tail(2)}")

    def said(self, *events: str) -> bool:
        """Whether it has said one of these events."""
        return not self._names.isdisjoint(events) or any(e.get("event") in events for e in list(self.events))

    def heard(self, line: bytes) -> None:
        """One line of its output. What is no object of JSON is captured, and no event."""
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            if isinstance(event, dict):
                self.events.append(event)
                if len(self._names) < NAMES:
                    self._names.add(str(event.get("event"))[:NAMES])
        if len(self.events) > FIRST + 2 * LAST:
            del self.events[FIRST:-LAST]

    def count(self, key: str) -> int:
        """A counter of its last line; 0 where that has none that can be one."""
        value = self.last().get(key, 0)
        return value if isinstance(value, int) else 0

    def last(self) -> dict[str, Any]:
        """Its last line; empty when it has said nothing."""
        return self.events[-1] if self.events else {}

    def tail(self, lines: int = 6) -> str:
        return "\n".join(json.dumps(e)[:QUOTED] for e in self.events[-lines:]) or "(it said nothing)"

    def tell(self, command: str) -> None:
        """One line to its standard input. Raises GuestLost."""
        try:
            self.channel.sendall(f"{command}\n".encode())
        except _TROUBLE as exc:
            if not self.ended:
                raise GuestLost(f"cannot tell {self.name} to {command}: {exc}") from exc

    def close(self) -> None:
        """Ends its standard input, which it takes as `quit`."""
        with contextlib.suppress(*_TROUBLE):
            self.channel.shutdown_write()


def _read_program(program: Program, stdout: Any, out: Path) -> None:  # noqa: ANN401 - paramiko's file
    """To its end, to that of the connection, or until the disk takes no more: a wait must not outlive any of them."""
    status = -1
    with contextlib.suppress(*_TROUBLE):
        _capture(program, stdout, out)
        status = program.channel.recv_exit_status()
    with program.changed:
        program.status = None if status < 0 or program.flood else status
        program.ended = True
        program.changed.notify_all()


def _capture(program: Program, stdout: Any, out: Path) -> None:  # noqa: ANN401 - paramiko's file
    """Until it ends, or says more than it may."""
    with out.open("ab") as capture:
        for line in _lines(stdout, program):
            capture.write(line)
            capture.flush()
            with program.changed:
                program.heard(line)
                program.changed.notify_all()


def _copy(program: Program, stream: Any, out: Path) -> None:  # noqa: ANN401 - paramiko's file
    """What a program, or the shell that saw it die, says outside its protocol."""
    with contextlib.suppress(*_TROUBLE), out.open("ab") as capture:
        for line in _lines(stream, program):
            capture.write(line)
            capture.flush()


def _lines(stream: Any, program: Program) -> Iterator[bytes]:  # noqa: ANN401 - paramiko's file
    """Its lines, as long as they are no flood; one that floods is cut off from us, and its guest is told by the run."""
    bucket = Bucket(OUTPUT)
    while line := stream.readline(OUTPUT.width + 1):
        if over := bucket.hear(time.monotonic(), line):
            with program.changed:
                program.flood = f"{program.name}: {over}"
                program.floods.append(program.flood)
                program.changed.notify_all()
            program.channel.close()
            return
        yield line


def _verified(transport: paramiko.Transport, hostkey: str) -> None:
    kind, blob, *_ = [*hostkey.split(), "", ""]
    seen = transport.get_remote_server_key()
    if seen.get_name() != kind or seen.asbytes() != base64.b64decode(blob):
        raise GuestLost("the SSH server that answers is not the guest we started: host keys differ")


class Dialler:
    """Makes SSH connections to one guest, and closes them all at the end."""

    def __init__(self, name: str, address: Address, hostkey: str) -> None:
        self.name, self.address, self.hostkey = name, address, hostkey
        self.open: list[paramiko.Transport] = []

    def dial(self) -> paramiko.Transport:
        """Connect and log in. The guest has said that it listens, so one try must do. Raises GuestLost."""
        seconds, where = CONNECT_LIMIT.total_seconds(), self.address
        try:
            wire = socket.create_connection((where.host, where.port), timeout=seconds)
            # One small packet follows another: by Nagle's rule a command takes 56 ms, not 12, a login 151, not 62.
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(wire)
            self.open.append(transport)
            transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = seconds
            transport.start_client(timeout=seconds)
            _verified(transport, self.hostkey)
            transport.auth_publickey("root", paramiko.Ed25519Key.from_private_key_file(str(where.key_file)))
        except _TROUBLE as exc:
            raise GuestLost(f"{self.name} does not answer on {where.host}:{where.port}: {exc}") from exc
        return transport

    def close(self) -> None:
        for transport in self.open:
            transport.close()


@dataclass
class GuestShell:
    """SSH to one guest.

    Commands take turns on one connection, and every program that runs beside them has a connection of its own:
    dropbear 2022.83 closes a channel that is open but has no command yet when a process of another channel exits, and
    then ends the whole connection with "unknown channel". A connection whose program has ended serves the next one.
    """

    name: str
    dialler: Dialler
    transport: paramiko.Transport
    changed: threading.Condition
    """Shared by all programs of a pair, so that one wait can watch several of them."""
    lines: list[tuple[paramiko.Transport, Program]] = field(default_factory=list)
    _floods: list[str] = field(default_factory=list)

    def take_floods(self) -> tuple[str, ...]:
        """What was cut off since somebody last asked."""
        taken = tuple(self._floods)
        self._floods.clear()
        return taken

    def check_floods(self) -> None:
        """Raises Flood when something was cut off, and nobody has asked yet."""
        if self._floods:
            raise Flood(self._floods[0])

    def _open(self, transport: paramiko.Transport, argv: Sequence[str], *, seconds: float) -> paramiko.Channel:
        try:
            channel = transport.open_session(timeout=seconds)
            # `exit $?` keeps the shell: it turns a death by signal into a status, which dropbear would not send.
            channel.exec_command(f"{shlex.join(argv)}; exit $?")
        except _TROUBLE as exc:
            raise GuestLost(f"{self.name} does not take commands over SSH: {exc}") from exc
        return channel

    def _free_line(self) -> paramiko.Transport:
        idle = next((line for line in self.lines if line[1].ended), None)
        if idle is None:
            return self.dialler.dial()
        self.lines.remove(idle)
        return idle[0]

    def run(self, argv: list[str], *, seconds: float, stdin: bytes = b"") -> CommandResult:
        """Run to completion. Raises GuestLost, DeadlinePassed, Flood."""
        what = f"`{shlex.join(argv)}`"
        deadline = Deadline.after(what, timedelta(seconds=seconds))
        channel = self._open(self.transport, argv, seconds=seconds)
        channel.settimeout(seconds)
        with channel:
            try:
                if stdin:
                    channel.sendall(stdin)
                    channel.shutdown_write()
                stdout = self._read(channel, channel.recv, what, deadline)
                stderr = self._read(channel, channel.recv_stderr, what, deadline)
                if not channel.status_event.wait(deadline.remaining or SOON_S):
                    raise TimeoutError
                status = channel.recv_exit_status()
            except TimeoutError as exc:
                raise DeadlinePassed(f"waited {seconds:g} s for {what} on {self.name}") from exc
            except _TROUBLE as exc:
                raise GuestLost(f"{self.name} went away during {what}: {exc}") from exc
        if status < 0:
            raise GuestLost(f"{self.name} went away during {what}")
        return CommandResult(status, stdout, stderr)

    def _read(self, channel: paramiko.Channel, receive: Callable[[int], bytes], what: str, deadline: Deadline) -> bytes:
        """All of one stream of a command. One that drips, or pours, for ever is given up."""
        parts: list[bytes] = []
        bucket = Bucket(OUTPUT)
        while True:
            channel.settimeout(deadline.remaining or SOON_S)
            data = receive(CHUNK)
            if not data:
                return b"".join(parts)
            if over := bucket.add(time.monotonic(), size=len(data)):
                self._floods.append(f"{what}: {over}")
                raise Flood(f"{what}: {over}")
            if deadline.expired:
                raise TimeoutError
            parts.append(data)

    def check(self, argv: list[str], *, seconds: float = 20, stdin: bytes = b"") -> bytes:
        """Standard output of a command that must succeed. Raises CommandFailed too."""
        result = self.run(argv, seconds=seconds, stdin=stdin)
        if result.status:
            raise CommandFailed(argv, result.status, (result.stdout + result.stderr).decode(errors="replace"))
        return result.stdout

    def start(self, name: str, argv: tuple[str, ...], stdout: Path) -> Program:
        """Start a program whose lines are captured in `stdout` as they come. Raises GuestLost."""
        stdout.parent.mkdir(parents=True, exist_ok=True)
        transport = self._free_line()
        channel = self._open(transport, argv, seconds=20)
        program = Program(name, argv, stdout, channel, self.changed, floods=self._floods)
        self.lines.append((transport, program))
        readers = (
            (_read_program, (program, channel.makefile("rb"), stdout)),
            (_copy, (program, channel.makefile_stderr("rb"), stdout.with_suffix(".stderr"))),
        )
        for target, args in readers:
            threading.Thread(target=target, args=args, name=f"read-{name}", daemon=True).start()
        return program


@contextlib.contextmanager
def connected(name: str, address: Address, hostkey: str, changed: threading.Condition) -> Iterator[GuestShell]:
    """An open shell; every connection is closed when the block ends. Raises GuestLost."""
    dialler = Dialler(name, address, hostkey)
    try:
        yield GuestShell(name, dialler, dialler.dial(), changed)
    finally:
        dialler.close()
