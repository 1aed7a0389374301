# SPDX-License-Identifier: GPL-2.0-only
"""Which bundles stay when there are too many. A pure function of rows: nothing is removed here."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.archive.rows import BundleRow, RunRow
from lab.verdict.model import Word

SAYS_NOTHING = frozenset({Word.MISS, Word.SKIP})
"""Words that say nothing of a kernel: what came before them is compared with what comes after."""


@dataclass(frozen=True)
class Stored:
    """A run of which the bundle is there, and what that takes on the disk."""

    run: RunRow
    bundle: BundleRow
    on_disk: int


def when(started: str) -> datetime.datetime | None:
    """The moment that a row tells; None where that cannot be read."""
    try:
        told = datetime.datetime.fromisoformat(started)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=datetime.UTC)


def wanted(runs: Iterable[RunRow]) -> dict[str, str]:
    """Keys of the runs whose bundles stay whatever there is, and why: each cell's last, and both sides of a change.

    All runs of the cells are needed, also those whose bundles are gone.
    """
    cells: dict[str, list[RunRow]] = defaultdict(list)
    for run in runs:
        cells[run.cell].append(run)
    stay: dict[str, str] = {}
    for history in cells.values():
        history.sort(key=lambda run: (run.started, run.key))
        stay[history[-1].key] = "the last of its cell"
        speaking = [run for run in history if run.word not in SAYS_NOTHING]
        if speaking:
            stay[speaking[-1].key] = "the last of its cell that says something"
        for before, after in pairwise(speaking):
            if before.word != after.word:
                stay[before.key] = f"before its cell turned {after.word}"
                stay[after.key] = f"its cell turned {after.word}"
    return stay


def to_prune(
    stored: Sequence[Stored],
    stay: Mapping[str, str],
    now: datetime.datetime,
    *,
    keep_days: float,
    most: int | None,
) -> tuple[Stored, ...]:
    """Bundles that may go: those older than that, and then the oldest until no more than `most` bytes are left."""
    total = sum(each.on_disk for each in stored)
    gone: list[Stored] = []
    for each in sorted(stored, key=lambda s: (s.run.started, s.run.key)):
        if each.run.key in stay:
            continue
        began = when(each.run.started)
        old = began is not None and now - began > datetime.timedelta(days=keep_days)
        if old or (most is not None and total > most):
            gone.append(each)
            total -= each.on_disk
    return tuple(gone)
