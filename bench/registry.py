# SPDX-License-Identifier: GPL-2.0-only
"""The benches there are. Each is a module with `measure(asked) -> Outcome`, imported only when it is run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.harness import Outcome
from lab.contracts import Progress
from lab.errors import BadInput


@dataclass(frozen=True)
class Asked:
    """What the user asked of a bench; every bench takes of it what applies to it. `runs` is for `soak`.

    out  where record and picture go
    """

    repeats: int
    progress: Progress
    out: Path
    kernels: tuple[str, ...] = ()
    runs: int = 200


Bench = Callable[[Asked], Outcome]


@dataclass(frozen=True)
class Entry:
    """A bench by its module; `repeats` when the user names no number; `same` are facts that --more may not change."""

    module: str
    repeats: int
    sentence: str
    same: tuple[str, ...] = ()

    def load(self) -> Bench:
        return cast(Bench, importlib.import_module(self.module).measure)


BENCHES: dict[str, Entry] = {
    "pair-ready": Entry(
        "bench.pair_ready",
        5,
        "request until a pair answers: warm, cold, and two virtme-ng guests",
        ("nic", "virtme_ng", "kernel", "kernel_sha256", "kernel_distribution", "kernel_distribution_sha256"),
    ),
    "throughput": Entry(
        "bench.throughput",
        11,
        "bytes/s of map and copy, and of a link whose bytes TCP throws away, in the same pair",
        ("kernel", "transfer_mib"),
    ),
    "verdicts-per-minute": Entry(
        "bench.verdicts",
        3,
        "the default suite, against the same suite one cold pair at a time",
        ("kernel", "suite", "runs"),
    ),
    "overhead": Entry(
        "bench.overhead", 3, "wall time of the default suite outside guest work", ("kernel", "suite", "runs")
    ),
    "memory": Entry("bench.memory", 3, "host memory of each pair, one pair to as many as fit", ("kernel", "nic")),
    "soak": Entry("bench.soak", 1, "many warm runs in a row: what is left behind, and do verdicts stay", ()),
}


def chosen(name: str) -> tuple[str, ...]:
    """Names of the benches to run. Raises BadInput."""
    if name == "all":
        return tuple(BENCHES)
    if name not in BENCHES:
        raise BadInput([f"there is no bench {name!r}"], hint=f"all, {', '.join(BENCHES)}")
    return (name,)
