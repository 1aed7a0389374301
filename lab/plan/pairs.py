# SPDX-License-Identifier: GPL-2.0-only
"""How many pairs at once `-n auto` means: the number that was seen to get most done, found by trying neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lab.plan.learnt import Rate

SURE = 3


@dataclass(frozen=True)
class Choice:
    """So many pairs, and the reason in words."""

    pairs: int
    why: str


def choose(known: Mapping[int, Sequence[Rate]], most: int, cpus: int) -> Choice:
    """The best number known of 1..`most` (what is admitted here), or a neighbour of it that was never measured.

    With nothing known it is one pair a CPU. More pairs are not tried where the best number has lost runs already. A
    neighbour that was measured once is tried again when the best has been measured SURE times: the host may have been
    busy with something else that once.
    """
    rates = {n: median(rate.work for rate in told) for n, told in known.items() if told and 1 <= n <= most}
    if not rates:
        return Choice(max(1, min(most, cpus)), "nothing is known of this host yet: one pair a CPU")
    best = max(sorted(rates), key=lambda n: rates[n])
    careful = any(rate.lost for rate in known[best])
    neighbours = [n for n in (best + 1, best - 1) if 1 <= n <= most and not (n > best and careful)]
    for times, told in ((0, "never measured"), (1, "measured only once")):
        for n in neighbours:
            if len(known.get(n, ())) == times and len(known[best]) >= SURE * times:
                return Choice(n, f"{best} did best so far, and {n} was {told}")
    return Choice(best, f"{best} did best of {', '.join(map(str, sorted(rates)))}")


def table(known: Mapping[int, Sequence[Rate]]) -> str:
    """What is known, in words: `1: 0.50 in 2 sessions, 2: 0.81 in 5 sessions (1 run lost)`."""
    return ", ".join(f"{n}: {_told(told)}" for n, told in sorted(known.items()) if told) or "nothing yet"


def _told(rates: Sequence[Rate]) -> str:
    lost = sum(rate.lost for rate in rates)
    many = f"{len(rates)} session{'s' * (len(rates) != 1)}"
    return f"{median(rate.work for rate in rates):.2f} in {many}" + (f" ({lost} lost)" if lost else "")
