# SPDX-License-Identifier: GPL-2.0-only
"""Where the wall time of runs and of a session went, each moment counted once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from lab.evidence.timing import Span, Timing
from lab.report.model import RunResult, Session

GUEST_WORK = frozenset(
    {
        *("start", "start client", "start peer", "start sender", "connections"),
        *("delivered", "flowing", "served", "reached", "depart", "tell peer", "until something gives", "observe"),
        *(
            "checkpoint",
            "settled",
            "release",
            "smaps",
            "bury",
            "bury control",
            "sysctl",
            "lower limit",
            "press",
            "end of pressure",
        ),
        *("quit", "remove cgroups"),
    }
)
"""Steps in which a client or a guest does what the case asks: traffic, keeping, letting go, counting, settling.

Not among them: to make a pair (settings, boot or restore, connect, carrier, preflight) and to end one, the wait until
the sample of telemetry after a checkpoint is here, collecting and judging evidence, and whatever has no name. A step
that is new counts as overhead until it is named here.
"""

PAIR = "pair"
STEPS = ("case", "reference")
BETWEEN = "between steps"
OUTSIDE = "outside runs"
NOT_TOLD = "runs without timing"


@dataclass(frozen=True)
class Spent:
    """Seconds of a session's workers by the name of the innermost span, the largest first.

    total  seconds that the workers had: pairs at once x wall time of the session. What belongs to no run (proving the
           accelerator, starting the engine, a worker with nothing left to do) is `outside runs`
    """

    total: float
    by_name: Mapping[str, float]

    @property
    def guest_work(self) -> float:
        return sum(seconds for name, seconds in self.by_name.items() if name in GUEST_WORK)

    @property
    def overhead(self) -> float:
        """The share of the workers' wall time that is no guest work, 0..1. See GUEST_WORK for what is."""
        return 1 - self.guest_work / self.total if self.total > 0 else 0.0


def own_seconds(timing: Timing) -> dict[str, float]:
    """A run's wall time by span name: each moment belongs to the span that began last of those that cover it.

    Those of its pair count while the run waits for it and not beside its steps; nothing counts before the run.
    """
    steps = _Innermost(span for span in timing.spans if span.lane in STEPS)
    others = _Innermost(span for span in timing.spans if span.lane not in STEPS)
    spent: defaultdict[str, float] = defaultdict(float)
    moments = sorted({0.0, timing.seconds, *(_within(t, timing) for s in timing.spans for t in (s.began, s.ended))})
    for began, ended in pairwise(moments):
        step, beside = steps.covering(began, ended), others.covering(began, ended)
        deeper = beside if step is not None and step.name == PAIR else None
        owner = deeper or step
        spent[owner.name if owner else BETWEEN] += ended - began
    return dict(spent)


def _within(moment: float, timing: Timing) -> float:
    return min(max(moment, 0.0), timing.seconds)


class _Innermost:
    """Of spans the one that began last, and of such the shortest; asked for moments in their order."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._to_come = sorted(spans, key=lambda span: -span.began)
        self._open: list[tuple[float, float, int, Span]] = []  # a heap, innermost first

    def covering(self, began: float, ended: float) -> Span | None:
        """The innermost that covers the time from `began` to `ended`, between which none begins or ends."""
        while self._to_come and self._to_come[-1].began <= began:
            span = self._to_come.pop()
            heappush(self._open, (-span.began, span.ended, len(self._to_come), span))
        while self._open and self._open[0][3].ended < ended:
            heappop(self._open)
        return self._open[0][3] if self._open else None


def spent(session: Session) -> Spent:
    """The same for all workers of a session."""
    by_name: defaultdict[str, float] = defaultdict(float)
    for result in session.results:
        for name, seconds in (own_seconds(result.timing) if result.timing else {NOT_TOLD: _told(result)}).items():
            by_name[name] += seconds
    total = max(session.pairs * session.seconds, sum(by_name.values()))
    by_name[OUTSIDE] = total - sum(by_name.values())
    return Spent(total, dict(sorted(by_name.items(), key=lambda item: -item[1])))


def _told(result: RunResult) -> float:
    seconds = result.manifest.seconds
    return seconds.provision + seconds.drive + seconds.collect
