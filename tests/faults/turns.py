# SPDX-License-Identifier: GPL-2.0-only
"""Taking turns with others who boot guests on this host: a lock, waited for in line and held for some rounds."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

HOLD_S = 120.0
"""No round begins under a lock that has been held for so long."""


class Turn:
    """A lock file, or none. flock(1) takes the same kind of lock."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.file, self.since = path, -1, 0.0

    @contextlib.contextmanager
    def round(self) -> Iterator[None]:
        """Have the lock; it is handed on afterwards when others have waited long enough."""
        if self.path is not None and self.file < 0:
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.since = time.monotonic()
        yield
        if time.monotonic() - self.since > HOLD_S:
            self.release()

    def release(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
