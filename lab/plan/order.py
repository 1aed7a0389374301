# SPDX-License-Identifier: GPL-2.0-only
"""In which order runs are done, and which of them by one worker after the other on one pair."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from lab.plan.matrix import Run

PAIR_SECONDS = 10.0
"""To make a pair cold, as measured; what was measured on this host takes its place."""

Batch = tuple[Run, ...]
Seconds = Callable[[Run], float]


def as_said(run: Run) -> float:
    """Seconds that a run takes as its case says."""
    return run.seconds


def running_order(
    runs: Iterable[Run], pairs: int = 1, seconds: Seconds = as_said, pair_seconds: Seconds = lambda _: PAIR_SECONDS
) -> tuple[Run, ...]:
    """The same runs in batches, numbered from 0: the batch that takes longest first.

    A batch is runs that can share a pair, one after the other. A worker that is done takes the next batch, so the last
    batches should be short. The longest batch is split where that lowers `cost`, although it takes one more pair.
    pair_seconds is how long it takes to make a pair for the first run of a batch.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.pair_key, []).append(run)

    def length(batch: Sequence[Run]) -> float:
        return pair_seconds(batch[0]) + sum(map(seconds, batch))

    whole = [tuple(group) for group in groups.values()]
    tried = [whole]
    while len(tried) <= 2 * pairs and (cut := _cut_longest(tried[-1], pairs, length)):
        tried.append(cut)
    best = min(tried, key=lambda batches: cost(batches, pairs, length))
    ordered = sorted(best, key=lambda batch: -length(batch))
    return tuple(
        replace(run, batch=number, seconds=seconds(run)) for number, batch in enumerate(ordered) for run in batch
    )


def cost(batches: Sequence[Batch], pairs: int, length: Callable[[Batch], float]) -> float:
    """Seconds until all is done plus seconds of work for each worker: one pair more slows the others down."""
    return makespan(batches, pairs, length) + sum(map(length, batches)) / pairs


def makespan(batches: Iterable[Batch], pairs: int, length: Callable[[Batch], float]) -> float:
    """Seconds until all is done when each of `pairs` workers takes the longest batch left as it becomes free."""
    return over_after(map(length, batches), pairs)


def over_after(lengths: Iterable[float], pairs: int) -> float:
    """The same of batches whose lengths are known."""
    busy = [0.0] * pairs
    for seconds in sorted(lengths, reverse=True):
        heapq.heapreplace(busy, busy[0] + seconds)
    return max(busy)


def seconds_left(runs: Iterable[Run], done: Collection[str], pairs: int, pair_seconds: Seconds) -> float:
    """Seconds until all runs of a plan are done, by what each is expected to take (Run.seconds).

    done  ids of those that are. A batch of which some are has its pair already.
    """
    batches: dict[int, list[Run]] = {}
    for run in runs:
        batches.setdefault(run.batch, []).append(run)

    def length(batch: Batch) -> float:
        left = [run.seconds for run in batch if run.id not in done]
        return sum(left) + (pair_seconds(batch[0]) if len(left) == len(batch) else 0)

    return makespan(map(tuple, batches.values()), pairs, length)


def next_batch(mine: float, others: Iterable[float], waiting: Iterable[float]) -> int | None:
    """Which of the batches that wait a worker takes when it is asked; None where the others will be free before it.

    mine, others  seconds until this worker, and each of the others, has done all it has
    waiting       lengths of the batches, in the order in which they go to whoever is free first
    """
    busy = [(mine, 0), *((seconds, 1) for seconds in others)]
    heapq.heapify(busy)
    for place, length in enumerate(waiting):
        free, who = busy[0]
        if who == 0:
            return place
        heapq.heapreplace(busy, (free + length, who))
    return None


def _cut_longest(batches: list[Batch], pairs: int, length: Callable[[Batch], float]) -> list[Batch]:
    """The same with the longest batch of several runs cut where that costs least; [] when there is none.

    In halves that are most alike, where several places cost the same.
    """
    several = [batch for batch in batches if len(batch) > 1]
    if not several:
        return []
    longest = max(several, key=length)
    others = [batch for batch in batches if batch is not longest]
    cuts = [(longest[:place], longest[place:]) for place in range(1, len(longest))]

    def unlike(cut: tuple[Batch, Batch]) -> float:
        return abs(length(cut[0]) - length(cut[1]))

    return [*others, *min(cuts, key=lambda cut: (cost([*others, *cut], pairs, length), unlike(cut)))]
