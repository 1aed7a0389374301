# SPDX-License-Identifier: GPL-2.0-only
"""What a controller and a host say to each other over the two ends of one connection, be it SSH or a pipe.

A frame is a letter, a length of four bytes, big end first, and that many bytes: `J` a message (a JSON object), `D` a
piece of a file, `.` a sign of life. Frames are bounded, and so is the wait for each: nobody is waited for in silence.
"""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from lab.errors import HostTrouble
from lab.units import MIB, Deadline

BEAT = timedelta(seconds=5)


def lease(chosen: str = "") -> timedelta:
    """As LAB_LEASE has it, in seconds: 10 to 3600; what is no such number is 60."""
    return timedelta(seconds=int(chosen) if chosen.isdecimal() and 10 <= int(chosen) <= 3600 else 60)


LEASE = lease(os.environ.get("LAB_LEASE", ""))
"""Who hears nothing for so long, not even a sign of life, has lost the other: the host ends its guests, and the
controller gives the attempt up."""
START = timedelta(seconds=120)
"""For the first frame: to log in, and to start an interpreter on a busy host, takes a while. ssh itself tells sooner
where there is nobody."""
MESSAGE, DATA, ALIVE = b"J", b"D", b"."
MOST = 16 * MIB
"""Bytes of a frame: a work order is the longest."""
PIECE = 256 * 1024
_HEAD = 5


class LinkLost(HostTrouble):
    """The other end is gone, or has said nothing for longer than the lease."""


@dataclass
class Wire:
    """One end. Frames may be sent from several threads; one reads."""

    inward: int
    outward: int
    lease: timedelta = LEASE
    who: str = "the other end"
    start: timedelta = START
    _heard: bool = False
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Raises LinkLost."""
        frame = kind + len(data).to_bytes(4, "big") + data
        with self._sending:
            try:
                while frame:
                    frame = frame[self._write(frame) :]
            except OSError as exc:
                raise LinkLost(f"{self.who} is gone: {exc.strerror}") from exc

    def _write(self, data: bytes) -> int:
        """As much as goes; one that takes nothing for longer than the lease is lost."""
        if not select.select([], [self.outward], [], self.lease.total_seconds())[1]:
            raise LinkLost(f"{self.who} has taken nothing for {self.lease.total_seconds():.0f} s")
        return os.write(self.outward, data[: select.PIPE_BUF])

    def tell(self, **message: Any) -> None:  # noqa: ANN401 - what JSON takes
        self.send(MESSAGE, json.dumps(message).encode())

    def read(self) -> tuple[bytes, bytes]:
        """The next frame. Raises LinkLost, HostTrouble for what is no frame."""
        limit = self.lease if self._heard else max(self.lease, self.start)
        head = self._exactly(_HEAD, Deadline.after(f"a sign of life of {self.who}", limit))
        self._heard = True
        kind, size = head[:1], int.from_bytes(head[1:], "big")
        if kind not in (MESSAGE, DATA, ALIVE) or size > MOST:
            raise HostTrouble(f"{self.who} says what is no frame: {head!r}")
        return kind, self._exactly(size, Deadline.after(f"the rest of a frame of {self.who}", self.lease))

    def _exactly(self, size: int, deadline: Deadline) -> bytes:
        parts, left = [], size
        while left:
            if not select.select([self.inward], [], [], deadline.remaining)[0]:
                raise LinkLost(str(deadline.passed("silence").message))
            data = os.read(self.inward, min(left, MIB))
            if not data:
                raise LinkLost(f"{self.who} is gone")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def hear(self) -> dict[str, Any]:
        """The next message; signs of life are passed over. Raises LinkLost, HostTrouble."""
        while True:
            kind, data = self.read()
            if kind == MESSAGE:
                return message_of(data, self.who)
            if kind != ALIVE:
                raise HostTrouble(f"{self.who} sends data where a message is wanted")

    def pieces(self, most: int) -> Iterator[bytes | dict[str, Any]]:
        """Pieces of a file as they come, and at last the message after them. Raises LinkLost, HostTrouble."""
        while True:
            kind, data = self.read()
            if kind == MESSAGE:
                yield message_of(data, self.who)
                return
            most -= len(data)
            if most < 0:
                raise HostTrouble(f"{self.who} sends more than was agreed on")
            if data:
                yield data


class Sink:
    """A file whose bytes are sent as pieces."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def write(self, data: bytes) -> int:
        view = bytes(data)
        for start in range(0, len(view), PIECE):
            self._wire.send(DATA, view[start : start + PIECE])
        return len(view)

    def flush(self) -> None:
        """Pieces do not wait."""


def message_of(data: bytes, who: str) -> dict[str, Any]:
    """Raises HostTrouble for what is no JSON object."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise HostTrouble(f"{who} says what is no message") from exc
    if not isinstance(told, dict):
        raise HostTrouble(f"{who} says what is no message")
    return told


class Beating:
    """Signs of life, sent by a thread while the block lasts."""

    def __init__(self, wire: Wire, every: timedelta = BEAT) -> None:
        self._wire, self._every, self._over = wire, every, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="beat", daemon=True)

    def __enter__(self) -> Beating:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._every.total_seconds()):
            try:
                self._wire.send(ALIVE)
            except LinkLost:
                return
