# SPDX-License-Identifier: GPL-2.0-only
"""Sizes, deadlines and the one waiting helper of the package."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from lab.errors import DeadlinePassed

KIB = 1024
MIB = 1024 * KIB
PAGE_SIZE = 4096

T = TypeVar("T")


def mib(value: float) -> str:
    """Bytes as text in MiB with one decimal: `268435456 -> "256.0 MiB"`."""
    return f"{value / MIB:.1f} MiB"


_TIME = re.compile(r"(\d{1,6}(?:\.\d+)?) ?(h|min|m|s|)")
_SECONDS = {"h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, "": 1.0}


def seconds_of(text: str) -> float | None:
    """Of `2h`, `90min`, `90m`, `30s`, or a bare number of seconds; None for anything else."""
    found = _TIME.fullmatch(text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None


def utc_now() -> str:
    """Host time of day, ISO 8601, milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Deadline:
    """A moment after which a wait of the given name fails. Pass one down the call tree instead of time-outs."""

    name: str
    limit: timedelta
    _end: float = field(repr=False)

    @classmethod
    def after(cls, name: str, limit: timedelta) -> Deadline:
        return cls(name, limit, time.monotonic() + limit.total_seconds())

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining == 0.0

    def passed(self, last_seen: object) -> DeadlinePassed:
        """The error to raise when time is up."""
        return DeadlinePassed(f"waited {self.limit.total_seconds():g} s for {self.name}; last saw: {last_seen}")


def wait_until(
    probe: Callable[[], tuple[T | None, object]],
    *,
    deadline: Deadline,
    pause: timedelta = timedelta(milliseconds=50),
) -> T:
    """Ask `probe` until it gives a value; for states that nobody announces.

    `probe` returns `(value, seen)`; the wait ends at the first value that is not None, and `seen` is quoted when
    the deadline passes. Raises DeadlinePassed.
    """
    while True:
        value, seen = probe()
        if value is not None:
            return value
        if deadline.expired:
            raise deadline.passed(seen)
        time.sleep(min(pause.total_seconds(), deadline.remaining or 0.001))
