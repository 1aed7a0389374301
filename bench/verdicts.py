# SPDX-License-Identifier: GPL-2.0-only
"""`verdicts-per-minute`: the default suite, against the same suite with one cold pair at a time, each run its own."""

from __future__ import annotations

from collections.abc import Sequence

from bench.engine import FRESH_PAIRS, Ran, lab_run
from bench.harness import Measure, Outcome, Ratio, interleaved
from bench.registry import Asked

SUITE = "default"
COLD = ("--cold", "-n", "1")


def measure(asked: Asked) -> Outcome:
    """Both ways in each round. A word that differs between them is a problem."""
    kernels = [word for kernel in asked.kernels for word in ("--kernel", kernel)]
    seen: dict[str, list[Ran]] = {"lab": [], "one_cold_pair": []}

    def way(name: str, words: Sequence[str], plugin: Sequence[str]) -> Measure:
        def once() -> float:
            ran = lab_run([SUITE, *kernels, *words], plugin=plugin)
            seen[name].append(ran)
            return 60 * len(ran.records) / ran.seconds

        return once

    variants = {"lab": way("lab", (), ()), "one_cold_pair": way("one_cold_pair", COLD, FRESH_PAIRS)}
    rounds = interleaved(variants, asked.repeats, asked.progress)
    last = seen["lab"][-1]
    facts = {
        "accelerator": last.records[0]["accelerator"],
        "kernel": ", ".join(sorted({r["kernel"] for r in last.records})),
        "suite": SUITE,
        "runs": len(last.records),
    }
    return Outcome(
        "Verdicts a minute, default suite",
        "per_min",
        rounds,
        (Ratio("lab_over_one_cold_pair", "lab", "one_cold_pair"),),
        facts,
        differences([ran for both in seen.values() for ran in both]),
    )


def differences(sessions: Sequence[Ran]) -> list[str]:
    """Each cell that got more than one word, with its words."""
    words: dict[str, set[str]] = {}
    for ran in sessions:
        for cell, word in ran.words.items():
            words.setdefault(cell, set()).add(word)
    return [f"{cell} was {' and '.join(sorted(some))}" for cell, some in sorted(words.items()) if len(some) > 1]
