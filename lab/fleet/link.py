# SPDX-License-Identifier: GPL-2.0-only
"""The controller's end of the wire to a host: what it asks, and how it takes what it is sent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import BadInput, HostTrouble
from lab.fleet.artefacts import found
from lab.fleet.inventory import FleetHost
from lab.fleet.orders import Artefact, WorkOrder, dump_order
from lab.fleet.wire import DATA, PIECE, Beating, LinkLost, Wire
from lab.host.atonce import beside
from lab.host.commands import missing
from lab.text.words import clipped, one_line
from lab.units import MIB

STREAM = 4096 * MIB
"""Bytes of a compressed stream that are taken at most."""
SSH_END, LOCAL_END = 10, 90
"""Seconds that the process at our end of a wire is waited for: where it is the host's own, it has guests to end."""
SAID = 300
TOLD = 8 * MIB
"""Bytes that are pushed from one word of it to the next: each is a line of the session's events."""


@dataclass(frozen=True)
class Sent:
    """A stream that has arrived whole, and what the host says of it."""

    path: Path
    digest: str
    code: int
    trouble: tuple[str, ...]
    interrupted: bool


@dataclass
class Link:
    """An open wire to a host. `stopping`: when it is set, whatever the host is doing for us shall end in order."""

    host: FleetHost
    wire: Wire
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(self, what: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON takes
        """Raises LinkLost, and HostTrouble where the host says that it cannot."""
        self.wire.tell(ask=what, **more)
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        told = self.wire.hear()
        if "problem" in told:
            problem = f"{self.host.name}: {one_line(str(told['problem']), 500)}"
            if told.get("sense") is False:
                raise BadInput([problem])
            raise HostTrouble(problem)
        return told

    def facts(self) -> dict[str, Any]:
        """What the host says of itself."""
        told = self.ask("facts").get("facts")
        if not isinstance(told, dict):
            raise HostTrouble(f"{self.host.name} tells nothing of itself")
        return told

    def push(self, artefacts: Sequence[Artefact], progress: Callable[[str], None]) -> int:
        """Give the host what it lacks; bytes that were sent. Raises HostTrouble."""
        told = self.ask("lacking", artefacts=[artefact.model_dump() for artefact in artefacts]).get("lacking")
        absent = {str(entry.get("sha256")) for entry in told or [] if isinstance(entry, dict)}
        return sum(self._put(artefact, progress) for artefact in artefacts if artefact.sha256 in absent)

    def _put(self, artefact: Artefact, progress: Callable[[str], None]) -> int:
        here = found(artefact)
        if here is None:
            raise HostTrouble(f"{artefact.place} is gone from the cache of this host, or damaged")
        begun = self.ask("put", artefacts=[artefact.model_dump()]).get("begun")
        if not isinstance(begun, int) or not 0 <= begun <= artefact.size:
            raise HostTrouble(f"{self.host.name} has an odd part of {artefact.place}")
        sent, told = 0, -TOLD
        with here.open("rb") as stream:
            stream.seek(begun)
            while data := stream.read(PIECE):
                if self.stopping.is_set():  # the host keeps what it has
                    raise HostTrouble(f"it was told to stop while {artefact.place} was pushed")
                self.wire.send(DATA, data)
                sent += len(data)
                if sent - told >= TOLD:
                    progress(f"pushing {artefact.place}: {(begun + sent) // MIB} MiB of {artefact.size // MIB}")
                    told = sent
        self.wire.tell(whole=True)
        if self._heard().get("there") is not True:
            raise HostTrouble(f"{self.host.name} did not get all of {artefact.place}")
        return sent

    def batch(self, order: WorkOrder, spool: Path, doing: Callable[[str], None]) -> Sent:
        """Have an order done. Raises LinkLost, HostTrouble, and BadInput where the host cannot make sense of it."""
        self.wire.tell(ask="batch", order=dump_order(order).decode(), now=time.time())
        with beside(self._stop_when_told, "stop"):
            while "ended" not in (told := self._heard()):
                doing(one_line(str(told.get("doing", "")), SAID))
            self.wire.tell(**{"go on": True})
        return self._stream(spool)

    def fetch(self, key: str, spool: Path) -> Sent:
        """What an order has left there. Raises LinkLost, HostTrouble."""
        self.wire.tell(ask="fetch", key=key)
        return self._stream(spool)

    def have(self, sent: Sent) -> None:
        """All of it is here: the host need not keep it."""
        with contextlib.suppress(LinkLost):
            self.wire.tell(have=sent.digest)

    def _stream(self, spool: Path) -> Sent:
        digest, size, end = hashlib.sha256(), 0, {}
        with spool.open("wb") as out:
            for piece in self.wire.pieces(STREAM):
                if isinstance(piece, dict):
                    end = piece.get("end", {})
                    break
                out.write(piece)
                digest.update(piece)
                size += len(piece)
        if not isinstance(end, dict) or "sha256" not in end:
            raise HostTrouble(f"{self.host.name} broke its stream off: {one_line(str(end), SAID)}")
        if size and end.get("sha256") != digest.hexdigest():
            raise HostTrouble(f"the stream of {self.host.name} arrived damaged: its sha256 is another one")
        code, trouble = end.get("code"), end.get("trouble")
        told = tuple(clipped(one_line(str(text)), SAID) for text in trouble[:20]) if isinstance(trouble, list) else ()
        return Sent(
            spool, digest.hexdigest(), code if isinstance(code, int) else 75, told, end.get("interrupted") is True
        )

    def _stop_when_told(self, over: threading.Event) -> None:
        """Has the host end what it does in order, once this end is told to stop."""
        while not over.is_set():
            if self.stopping.wait(0.2):
                with contextlib.suppress(LinkLost):
                    self.wire.tell(stop=True)
                return


@contextlib.contextmanager
def linked(host: FleetHost, stopping: threading.Event | None = None) -> Iterator[Link]:
    """A wire to a host, which is cut at the end of the block. Raises HostTrouble where there is no such command."""
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            host.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise missing(host.argv[0]) from exc
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
    said = _Said(process.stderr.fileno())
    wire = Wire(process.stdout.fileno(), process.stdin.fileno(), who=host.name)
    try:
        with Beating(wire):
            yield Link(host, wire, stopping or threading.Event())
    except LinkLost as exc:
        _end(process, host)
        raise LinkLost(f"{exc.message}{said.tail()}") from exc
    finally:
        _end(process, host)
        said.close()


class _Said:
    """The last of what ssh, or the other end, says on standard error: why there is no wire."""

    def __init__(self, fd: int) -> None:
        self._fd, self._last = fd, b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._fd, 4096):
                self._last = (self._last + data)[-2000:]

    def tail(self) -> str:
        self._thread.join(1)
        text = one_line(self._last.decode(errors="replace").replace("\r", " "), 2000)[-SAID:]
        return f": {text}" if text else ""

    def close(self) -> None:
        self._thread.join(1)


def _end(process: subprocess.Popen[bytes], host: FleetHost) -> None:
    """Its end of the wire is closed, so the host ends what it does; ssh itself is not waited for."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(SSH_END if host.argv[0] == "ssh" else LOCAL_END)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
