# SPDX-License-Identifier: GPL-2.0-only
"""When a guest got no CPU time from this host, by what was seen of its QEMU. Pure.

A guest whose QEMU is stopped or starved for long finds its clock far ahead when it goes on, and complains of soft
lock-ups and RCU stalls. Those are the host's; who judges must know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

STOPPED_S = 1.0
LATE_S = 5.0

WINDOW_S, STARVED = 10.0, 0.97
"""A vCPU that waited for a CPU in so large a share of so many seconds was starved: see docs/decisions.md."""

UNWATCHED = "was not watched (was the lab stopped, or the host suspended?)"

KEPT = 100
"""Gaps that are told one by one, of a guest that nobody has asked about for long."""


@dataclass(frozen=True)
class Look:
    """One look at a QEMU process.

    t        seconds by CLOCK_MONOTONIC;  boot  by CLOCK_BOOTTIME, which goes on while the host is suspended
    stopped  by a signal or a debugger
    waited   seconds its vCPUs were ready to run and had no CPU, since they began (one vCPU's share of them)
    """

    t: float
    boot: float
    stopped: bool
    waited: float


@dataclass(frozen=True)
class Gap:
    """A time, by CLOCK_MONOTONIC, in which the host kept QEMU from running, or nobody can say that it did not."""

    why: str
    began: float
    ended: float
    seconds: float


@dataclass
class Gaps:
    """What a series of looks shows. Looks may be any time apart: that is one of the things they show."""

    found: deque[Gap] = field(default_factory=lambda: deque(maxlen=KEPT))
    _last: Look | None = None
    _stopped: Look | None = None
    _recent: deque[Look] = field(default_factory=deque)

    def see(self, look: Look) -> None:
        """The next look."""
        last = self._last or look
        self._see_stop(last, look)
        self._see_late(last, look)
        self._see_starved(look)
        self._last = look

    def look_in(self, now: float) -> None:
        """There may have been no look for long, and no next one."""
        if self._last is not None and now - self._last.t > LATE_S:
            self._add(UNWATCHED, self._last.t, now, LATE_S)

    def take(self) -> tuple[Gap, ...]:
        """What was found since they were last taken. One that goes on is told each time."""
        taken = tuple(self.found)
        self.found.clear()
        return taken

    def _see_stop(self, last: Look, look: Look) -> None:
        """From the last look before it to the first one after it: a little more than it was."""
        if look.stopped and self._stopped is None:
            self._stopped = last
        if self._stopped is not None:
            self._add("was stopped", self._stopped.t, look.t, STOPPED_S)
        if not look.stopped:
            self._stopped = None

    def _see_late(self, last: Look, look: Look) -> None:
        elapsed = max(look.t - last.t, look.boot - last.boot)
        if elapsed > LATE_S and not look.stopped:
            self._add(UNWATCHED, last.t, look.t, LATE_S, elapsed)

    def _see_starved(self, look: Look) -> None:
        """The kernel adds what a thread waited when that gets a CPU: a long wait comes as one lump, at its end."""
        self._recent.append(look)
        while len(self._recent) > 1 and look.t - self._recent[1].t >= WINDOW_S:
            self._recent.popleft()
        first = self._recent[0]
        over = look.t - first.t
        if over >= WINDOW_S and look.waited - first.waited >= STARVED * over:
            self._add("had no CPU", first.t, look.t, 0.0)

    def _add(self, why: str, began: float, ended: float, more_than: float, seconds: float = 0.0) -> None:
        """A gap that goes on where the last one of its sort was makes that one longer."""
        before = self.found[-1] if self.found else None
        if before is not None and before.why == why and began <= before.ended:
            began = before.began
            self.found.pop()
        seconds = seconds or ended - began
        if seconds > more_than:
            self.found.append(Gap(why, began, ended, seconds))


def told(gaps: Iterable[Gap], start: float) -> str:
    """Gaps as a sentence about a guest's QEMU that was started at `start`; "" when there are none."""
    longest: dict[str, list[Gap]] = {}
    for gap in gaps:
        longest.setdefault(gap.why, []).append(gap)
    return "; ".join(_sentence(why, some, start) for why, some in longest.items())


def _sentence(why: str, gaps: list[Gap], start: float) -> str:
    most = max(gaps, key=lambda gap: gap.seconds)
    often = f", {len(gaps)} times, the longest" if len(gaps) > 1 else ""
    when = f"{most.began - start:.1f} to {most.ended - start:.1f} s after it was started"
    return f"its QEMU {why}{often} for {most.seconds:.1f} s ({when})"
