# SPDX-License-Identifier: GPL-2.0-only
"""Writes down where time goes: named spans on lanes, by the monotonic clock, from any thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lab.evidence.timing import Span, Timing

CASE = "case"


@dataclass
class Timeline:
    """Spans of a run, or of a pair before it has a run. `began` and the spans are seconds of the monotonic clock."""

    began: float = field(default_factory=time.monotonic)
    _spans: list[Span] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def span(self, name: str, *, lane: str, detail: str = "", work: bool = False) -> Iterator[None]:
        """What the block does takes as long as the block, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(Span(name, lane, began, time.monotonic(), detail, work))

    def add(self, span: Span) -> None:
        """A span that was measured elsewhere, in seconds of the monotonic clock."""
        with self._lock:
            self._spans.append(span)

    def take(self, other: Timeline, *, case_as: str = "") -> None:
        """All that another one has: a run takes over what was written while its pair was made.

        `case_as`: of a run beside this one only its steps, on a lane of that name.
        """
        with other._lock:
            spans = list(other._spans)
        if case_as:
            spans = [replace(span, lane=case_as) for span in spans if span.lane == CASE]
        with self._lock:
            self._spans += spans

    def timing(self) -> Timing:
        """The spans so far, relative to the beginning, and how long that is ago."""
        ended = time.monotonic()
        with self._lock:
            spans = [replace(s, began=self._since(s.began), ended=self._since(s.ended)) for s in self._spans]
        return Timing(self._since(ended), tuple(sorted(spans, key=lambda s: (s.began, -s.ended))))

    def _since(self, moment: float) -> float:
        return round(moment - self.began, 4)
