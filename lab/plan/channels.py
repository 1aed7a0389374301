# SPDX-License-Identifier: GPL-2.0-only
"""How much a guest may say, channel by channel: in bytes, in lines, and in one line.

A pair may live for hours, so a channel has no final sum. It has a bucket: what is said fills it, time empties it, and
a guest that makes it flow over is ended. In any time T a channel carries `size` + `rate` x T bytes at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.units import KIB, MIB, mib


@dataclass(frozen=True)
class Cap:
    """What one channel may carry: `size` bytes at once and `rate` more a second, the same in lines, `width` a line."""

    name: str
    size: int
    rate: int
    lines: int
    line_rate: int
    width: int


CONSOLE = Cap("console", 16 * MIB, 16 * KIB, 200_000, 200, MIB)
"""A boot says some 20 KiB at our log level, and a warning 5 KiB in 60 lines."""

TELEMETRY = Cap("telemetry", 16 * MIB, 256 * KIB, 20_000, 100, 256 * KIB)
"""Ten lines a second of 2 KiB, 20 with checkpoints: 40 KiB a second. The guest's own buffer for a line is 128 KiB."""

INSTRUCTIONS = Cap("instructions", 16 * MIB, 256 * KIB, 20_000, 100, 256 * KIB)
"""Two short lines a turn. QEMU's plugin writes them, as fast as the guest executes marks."""

READY_PORT = Cap("ready port", MIB, KIB, 2_000, 10, 16 * KIB)
"""A dozen lines from boot to the end, and one for each change of carrier."""

OUTPUT = Cap("output", 32 * MIB, 64 * KIB, 50_000, 200, 256 * KIB)
"""Of one program or command. Ours say ten lines of 400 bytes a second; a selftest's log has some MiB at most."""

HEADROOM = 64 * MIB
"""By how much a file of QEMU may grow beyond what was last seen of it, before the kernel ends QEMU: the backstop for
a lab that does not get to look. At 90 MB/s, the most that a guest was seen to write under TCG, that is 0.7 s or three
looks. Under KVM it may be less than one: then the kernel ends QEMU first, and the next look finds a file that is above
its cap, so that it is a flood all the same."""


@dataclass
class Bucket:
    """How full a channel is. `over` says what made it flow over; that stays."""

    cap: Cap
    over: str = ""
    _size: float = 0.0
    _lines: float = 0.0
    _line: int = 0
    _at: float | None = None

    def hear(self, now: float, data: bytes) -> str:
        """That was said by now, in seconds by any clock that only goes forward. Returns `over`."""
        return self.add(now, size=len(data), lines=self.lines_in(data))

    def add(self, now: float, *, size: int = 0, lines: int = 0) -> str:
        """The same of what was not looked at."""
        cap, passed = self.cap, now - (self._at if self._at is not None else now)
        self._at = now
        self._size = max(0.0, self._size - cap.rate * passed) + size
        self._lines = max(0.0, self._lines - cap.line_rate * passed) + lines
        if self._size > cap.size:
            self._overflow(f"more than {mib(cap.size)} at once, and {cap.rate // KIB} KiB a second after that")
        elif self._lines > cap.lines:
            self._overflow(f"more than {cap.lines} lines at once, and {cap.line_rate} a second after that")
        return self.over

    def lines_in(self, data: bytes) -> int:
        """How many lines end in what comes next; how long they are is seen here."""
        count = data.count(b"\n")
        if count <= self.cap.lines:  # what is over is over: no list of millions of lines is made of it
            first, *others = data.split(b"\n")
            longest = max([self._line + len(first), *map(len, others)])
            self._line = len(others[-1]) if others else self._line + len(first)
            if longest > self.cap.width:
                self._overflow(f"a line of more than {self.cap.width // KIB} KiB")
        return count

    def _overflow(self, why: str) -> None:
        self.over = self.over or f"the {self.cap.name} was given {why}"
