# SPDX-License-Identifier: GPL-2.0-only
"""`pair-ready`: from the request until both guests answer a command over SSH and the link carries a ping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import virtme
from bench.bare import Bare
from bench.guests import LAB_KERNEL, NIC, STARTS, Bed, Start, answers, bed, bootable
from bench.harness import Measure, Outcome, Ratio, interleaved
from bench.registry import Asked
from lab.contracts import BootableKernel

KERNELS = {LAB_KERNEL: "", "newest": "_distribution"}
"""The kernels measured when none is named, and what follows the keys of each in the record."""

WAYS = ("warm", "cold", "virtme_pair", "bare_restore", "bare_boot")
TRIES = 2
"""Times that each way to start virtme-ng is tried before the fastest is taken."""

RATIOS = (
    *(("warm", "virtme_pair"), ("cold", "virtme_pair"), ("warm", "cold")),
    *(("warm", "bare_restore"), ("cold", "bare_boot")),
)
"""The last two: how far we are from what QEMU itself needs."""


@dataclass
class Ours:
    """A pair of the lab, booted or restored for the occasion."""

    bed: Bed
    kernel: BootableKernel
    start: Start

    def __call__(self) -> float:
        request = self.bed.request(self.kernel)
        try:
            began = time.monotonic()
            with self.start(self.bed, request) as ready:
                answers(ready)
                return time.monotonic() - began
        finally:
            self.bed.forget(request)


def fastest(ways: Iterable[str], once: Callable[[str], float]) -> str:
    """The way with the best of TRIES; they take turns, so that a busy moment does not hit one alone."""
    seconds: dict[str, float] = {}
    for way in [way for _ in range(TRIES) for way in ways]:
        seconds[way] = min(once(way), seconds.get(way, math.inf))
    return min(seconds, key=seconds.__getitem__)


@dataclass
class VirtmePair:
    """Two virtme-ng guests of the same kernel on the same accelerator, side by side. They have no link, so none is
    asked for: that favours them. The first call tries every way, and the fastest is taken from then on."""

    bed: Bed
    kernel: BootableKernel
    root: str = ""

    def __post_init__(self) -> None:
        self.virtme = virtme.ensure_virtme(self.bed.progress)
        kernel = virtme.ensure_kernel(self.kernel, self.bed.progress)
        self.ways = virtme.commands(self.virtme, kernel, self.bed.accelerator, self.bed.image.path)

    def __call__(self) -> float:
        if not self.root:
            self.root = fastest(self.ways, self._once)
        return self._once(self.root)

    def _once(self, root: str) -> float:
        return virtme.pair_seconds(self.virtme, self.ways[root], self.bed.folder)


MAKERS: dict[str, Callable[[Bed, BootableKernel], Measure]] = {
    "warm": lambda where, kernel: Ours(where, kernel, STARTS["warm"]),
    "cold": lambda where, kernel: Ours(where, kernel, STARTS["cold"]),
    "virtme_pair": VirtmePair,
    "bare_restore": partial(Bare, saved=True),
    "bare_boot": partial(Bare, saved=False),
}


def suffixes(kernels: Sequence[str]) -> dict[str, str]:
    """What follows the keys of each kernel: nothing for the first one."""
    return {name: f"_{name}" if number else "" for number, name in enumerate(kernels)} if kernels else dict(KERNELS)


def ratios(endings: Iterable[str]) -> list[Ratio]:
    """The same ones for every kernel."""
    return [Ratio(f"{a}_over_{b}{end}", f"{a}{end}", f"{b}{end}") for end in endings for a, b in RATIOS]


def measure(asked: Asked) -> Outcome:
    """All ways of all kernels in each round. Raises BadInput, LabTrouble."""
    named = suffixes(asked.kernels)
    kernels = dict(zip(named.values(), bootable(tuple(named), asked.progress), strict=True))
    with bed(tuple(kernels.values()), asked.progress) as where:
        variants = {f"{way}{end}": MAKERS[way](where, kernel) for end, kernel in kernels.items() for way in WAYS}
        rounds = interleaved(variants, asked.repeats, asked.progress)
        facts: dict[str, Any] = {"accelerator": where.accelerator, "nic": NIC, "virtme_ng": virtme.VERSION}
    for end, kernel in kernels.items():
        facts |= {f"kernel{end}": kernel.name, f"kernel{end}_sha256": kernel.sha256}
        peer = variants[f"virtme_pair{end}"]
        facts[f"virtme_root{end}"] = peer.root if isinstance(peer, VirtmePair) else ""
    title = "Request until both guests answer and the link carries a ping"
    return Outcome(title, "s", rounds, ratios(kernels), facts)
