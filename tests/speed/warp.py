# SPDX-License-Identifier: GPL-2.0-only
"""A guest's clock as it would have run on another host: what computes is shorter, what waits is not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """From `start` to `end` of the old clock a second takes `pace` seconds of the new one."""

    start: float
    end: float
    pace: float


class Warp:
    """Old seconds to new ones: a broken line that never falls. Before the first stretch both clocks are one."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._old: list[float] = []
        self._new: list[float] = []
        self._pace: list[float] = []
        for s in stretches:
            begin = self(s.start)
            if self._old and s.start < self._old[-1]:
                raise ValueError("stretches overlap")
            self._add(s.start, begin, s.pace)
            self._add(s.end, begin + (s.end - s.start) * s.pace, 1.0)

    def _add(self, old: float, new: float, pace: float) -> None:
        self._old.append(old)
        self._new.append(new)
        self._pace.append(pace)

    def __call__(self, t: float) -> float:
        at = bisect_right(self._old, t) - 1
        return t if at < 0 else self._new[at] + (t - self._old[at]) * self._pace[at]

    def behind(self, offset: float) -> Shifted:
        """The same for a clock that shows `offset` more."""
        return Shifted(self, offset)


@dataclass(frozen=True)
class Shifted:
    """The warp of another clock of the same run."""

    warp: Warp
    offset: float

    def __call__(self, t: float) -> float:
        return self.warp(t - self.offset) + self.offset
