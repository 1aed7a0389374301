# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel costs against the reference: a pure function of the two bundles."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.evidence.model import Evidence, ProgramLog
from lab.evidence.names import BEGIN, END

IDLE, TURN = "idle", "turn"
"""Clients of a case that compares, but for a number: a trickle shows what the guest executes anyway; and the
transfers."""

MB = 1_000_000
CONFIDENCE = 0.95
CERTAIN = 0.999
"""Confidence of the check that two identical kernels cost the same: a false alarm in a thousand."""


@dataclass(frozen=True)
class Turn:
    """One transfer. `clock` is its duration on the host's clock, `seconds` on the guest's."""

    client: str
    instructions: int
    delivered: int
    mapped: int
    seconds: float
    clock: float

    @property
    def kind(self) -> str:
        """IDLE or TURN."""
        return self.client.rstrip("0123456789")

    @property
    def rate(self) -> float:
        """MB/s, by the guest's clock."""
        return self.delivered / MB / self.seconds

    @property
    def share(self) -> float:
        return self.mapped / self.delivered


@dataclass(frozen=True)
class Ratio:
    """Kernel over reference with its interval of confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Cost:
    """Ratios kernel / reference, and the medians of each side behind them.

    instructions  for a MB delivered, without those of the background; sure is the same with confidence CERTAIN
    rate          MB/s by the guest's clock
    background    instructions a second of a guest that moves next to nothing
    spread        standard deviation of the reference's turns, as a share of their mean
    """

    instructions: Ratio
    sure: Ratio
    rate: Ratio
    per_mb: tuple[float, float]
    mb_per_s: tuple[float, float]
    background: float
    spread: float
    turns: int


def turns_of(evidence: Evidence) -> tuple[Turn, ...]:
    """The transfers in order, as far as each has a begin, an end and a client that says what it took.

    Turns do not overlap, so the n-th couple of marks is that of the n-th client.
    """
    counts = evidence.counts or ()
    couples = [(a, b) for a, b in zip(counts[::2], counts[1::2], strict=False) if (a.mark, b.mark) == (BEGIN, END)]
    logs = [evidence.clients[c.name] for c in evidence.manifest.clients if c.name in evidence.clients]
    if len(counts) % 2 or len(couples) * 2 != len(counts):
        return ()
    return tuple(
        Turn(log.name, end.instructions - begin.instructions, *taken, end.t - begin.t)
        for log, (begin, end) in zip(logs, couples, strict=False)
        for taken in _taken(log)
    )


def _taken(log: ProgramLog) -> Iterator[tuple[int, int, float]]:
    """Bytes delivered, bytes mapped and guest seconds between `accepted` and `holding`."""
    begin, end = log.last("accepted"), log.last("holding")
    if begin and end and end.t > begin.t and end.count("delivered"):
        yield end.count("delivered"), end.count("mapped"), end.t - begin.t


def compare(evidence: Evidence) -> Cost | None:
    """The cost of a kernel; None where there are not two turns of each kind and side to compare."""
    if evidence.reference is None:
        return None
    sides = (turns_of(evidence), turns_of(evidence.reference))
    idle, full = ([_of_kind(side, kind) for side in sides] for kind in (IDLE, TURN))
    if any(len(a) != len(b) or len(a) < 2 for a, b in (idle, full)):
        return None
    background = _Background.of([turn for side in idle for turn in side])
    work = [[background.work(turn) for turn in side] for side in full]
    rates = [[turn.rate for turn in side] for side in full]
    if min(*work[0], *work[1]) <= 0:
        return None
    return Cost(
        instructions=ratio(*work, confidence=CONFIDENCE),
        sure=ratio(*work, confidence=CERTAIN),
        rate=ratio(*rates, confidence=CONFIDENCE),
        per_mb=(statistics.median(work[0]), statistics.median(work[1])),
        mb_per_s=(statistics.median(rates[0]), statistics.median(rates[1])),
        background=background.instructions,
        spread=statistics.stdev(work[1]) / statistics.fmean(work[1]),
        turns=len(work[0]),
    )


def _of_kind(turns: Sequence[Turn], kind: str) -> list[Turn]:
    return [turn for turn in turns if turn.kind == kind]


@dataclass(frozen=True)
class _Background:
    """What goes on in a guest anyway: telemetry, ticks; and the trickle of the turns that show it. A second."""

    instructions: float
    delivered: float

    @classmethod
    def of(cls, idle: Sequence[Turn]) -> _Background:
        """One for both sides: an error in it then moves both alike, and leaves their ratio where it is."""
        seconds = sum(turn.seconds for turn in idle)
        return cls(sum(t.instructions for t in idle) / seconds, sum(t.delivered for t in idle) / seconds)

    def work(self, turn: Turn) -> float:
        """Instructions for a MB of a turn, without what the guest would have executed anyway."""
        instructions = turn.instructions - self.instructions * turn.seconds
        return instructions * MB / (turn.delivered - self.delivered * turn.seconds)


def ratio(ours: Sequence[float], theirs: Sequence[float], *, confidence: float) -> Ratio:
    """Median of the averages of any two ratios of neighbouring turns, with the interval of Wilcoxon's signed ranks.

    Neighbours ran within seconds of each other, so what drifts on a busy host cancels out; and a turn in which the
    host stalled, and TCP sent again, does not carry the rest with it as it would in a mean (Hodges, Lehmann 1963).
    With too few turns for the confidence the interval has no ends.
    """
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    averages = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(logs, 2))
    cut = _cut(len(logs), confidence)
    low, high = (averages[cut - 1], averages[-cut]) if cut else (-math.inf, math.inf)
    return Ratio(*map(math.exp, (statistics.median(averages), low, high)))


def _cut(n: int, confidence: float) -> int:
    """The rank from either end at which the interval begins: the tail below it is no likelier than it may be."""
    ways = [1]  # to get each sum from a choice among the ranks so far
    for rank in range(1, n + 1):
        ways = [a + b for a, b in zip([*ways, *[0] * rank], [*[0] * rank, *ways], strict=True)]
    allowed = (1 - confidence) / 2 * 2**n
    return sum(tail <= allowed for tail in itertools.accumulate(ways))
