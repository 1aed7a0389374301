# SPDX-License-Identifier: GPL-2.0-only
"""A file that a running QEMU writes: how much comes into it, and whether anybody else has a hand in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import Kind
from lab.plan.channels import Bucket, Cap
from lab.units import MIB

AT_ONCE = 8 * MIB
"""Read of a file at one look. One that grows faster flows over by its size before all of it is read."""

CHUNK = MIB


@dataclass
class Growing:
    """A capture, from its first look on. It only grows, stays the same file, and keeps what it said.

    A flipped byte in a console would hide a crash: what was read is remembered as a digest, and `proved` reads again.
    """

    path: Path
    cap: Cap
    size: int = 0
    trouble: tuple[Kind, str] | None = None
    """The first thing that was wrong with it; it is not looked at any more."""
    _bucket: Bucket = field(init=False)
    _inode: int = 0
    _read: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._bucket = Bucket(self.cap)

    def look(self, now: float) -> None:
        """See what came. Raises OSError where the host does not let us look."""
        if self.trouble is None:
            self._look(now)

    def proved(self) -> None:
        """Read again what was read, and see that nobody changed it."""
        try:
            if self.trouble is None and self._read and self._digest_again() != self._digest.digest():
                self.trouble = ("host", f"{self.path.name} was changed after the guest had written it")
        except OSError as exc:
            self.trouble = ("host", f"{self.path.name} cannot be read: {exc.strerror}")

    def _look(self, now: float) -> None:
        try:
            about = self.path.stat()
        except FileNotFoundError:
            if self._inode:
                self.trouble = ("host", f"{self.path.name} was removed while the guest wrote it")
            return
        if self._inode not in (0, about.st_ino):
            self.trouble = ("host", f"{self.path.name} was replaced while the guest wrote it")
        elif about.st_size < self.size:
            shrunk = f"from {self.size} to {about.st_size} bytes"
            self.trouble = ("host", f"{self.path.name} shrank {shrunk} while the guest wrote it")
        else:
            self._grown(now, about.st_size)
        self._inode = about.st_ino

    def _grown(self, now: float, size: int) -> None:
        grown, self.size = size - self.size, size
        if over := self._bucket.add(now, size=grown):
            self.trouble = ("flood", over)
            return
        if size > self._read:
            with self.path.open("rb") as file:
                file.seek(self._read)
                data = file.read(min(AT_ONCE, size - self._read))
            self._read += len(data)
            self._digest.update(data)
            if over := self._bucket.add(now, lines=self._bucket.lines_in(data)):
                self.trouble = ("flood", over)

    def _digest_again(self) -> bytes:
        digest, left = hashlib.sha256(), self._read
        with self.path.open("rb") as file:
            while left and (data := file.read(min(CHUNK, left))):
                digest.update(data)
                left -= len(data)
        return digest.digest()
