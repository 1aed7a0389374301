# SPDX-License-Identifier: GPL-2.0-only
"""`overhead`: the share of the workers' wall time that is no guest work, over the default suite.

What counts as guest work: lab/report/spent.py.
"""

from __future__ import annotations

from statistics import median

from bench.engine import Ran, lab_run
from bench.harness import Outcome, interleaved
from bench.registry import Asked

SUITE = "default"
NAMED = 12
"""Names of spans that the record tells, the largest ones."""


def measure(asked: Asked) -> Outcome:
    """The suite as a user runs it; the round that does not count saves the states. Raises CommandFailed."""
    words = [SUITE, *(word for kernel in asked.kernels for word in ("--kernel", kernel))]
    seen: list[Ran] = []

    def once() -> float:
        seen.append(lab_run(words))
        return seen[-1].spent.overhead

    rounds = interleaved({"overhead": once}, asked.repeats, asked.progress)
    counted = seen[-asked.repeats :]
    facts = {
        "accelerator": counted[-1].records[0]["accelerator"],
        "kernel": ", ".join(sorted({r["kernel"] for r in counted[-1].records})),
        "suite": SUITE,
        "runs": len(counted[-1].records),
        **shares(counted),
    }
    return Outcome("Wall time outside guest work, default suite", "share", rounds, (), facts)


def shares(sessions: list[Ran]) -> dict[str, float]:
    """Median share of the workers' time by what they did, the largest first, as keys `share_of_NAME`."""
    names = {name for ran in sessions for name in ran.spent.by_name}
    found = {n: median(ran.spent.by_name.get(n, 0.0) / ran.spent.total for ran in sessions) for n in names}
    largest = sorted(found.items(), key=lambda item: -item[1])[:NAMED]
    return {f"share_of_{name.replace(' ', '_')}": round(share, 4) for name, share in largest}
