# SPDX-License-Identifier: GPL-2.0-only
"""`memory`: what each pair costs the host: PSS of its two QEMUs, from one pair to as many as fit."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from bench.guests import LAB_KERNEL, NIC, STARTS, Bed, Start, answers, bed, bootable
from bench.harness import Measure, Outcome, Ratio, interleaved
from bench.registry import Asked
from lab.contracts import BootableKernel
from lab.host.size import host_size
from lab.plan.capacity import HOST_RESERVE_MIB, pair_mib
from lab.plan.case import STANDARD
from lab.provision.sweep import left_behind
from lab.units import KIB, MIB

MOST = 6
"""Pairs at once that are sensible on a small host."""


@dataclass
class Pairs:
    """One more pair after the other; with each, the memory of all divided by their number, in MiB by that number."""

    bed: Bed
    kernel: BootableKernel
    start: Start
    most: int

    def __call__(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with contextlib.ExitStack() as stack:
            for number in range(1, self.most + 1):
                request = self.bed.request(self.kernel)
                stack.callback(self.bed.forget, request)
                answers(stack.enter_context(self.start(self.bed, request)))
                pss = [pss_kib(Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in left_behind(self.bed.folder)]
                found[str(number)] = sum(pss) * KIB / MIB / number
        return found


def pss_kib(smaps_rollup: str) -> int:
    """Proportional share of a process: pages that N processes map count 1/N in each."""
    return next(int(line.split()[1]) for line in smaps_rollup.splitlines() if line.startswith("Pss:"))


def measure(asked: Asked) -> Outcome:
    """Every way of starting pairs, in each round. Raises BadInput, LabTrouble."""
    (kernel,) = bootable(asked.kernels[:1] or (LAB_KERNEL,), asked.progress)
    most = min(MOST, (host_size().available_mib - HOST_RESERVE_MIB) // pair_mib(STANDARD))
    with bed([kernel], asked.progress) as where:
        variants: dict[str, Measure] = {name: Pairs(where, kernel, start, most) for name, start in STARTS.items()}
        rounds = interleaved(variants, asked.repeats, asked.progress, warm_up=0)
        facts = {"accelerator": where.accelerator, "kernel": kernel.name, "nic": NIC, "pairs": most}
    ratios = [Ratio(f"warm_over_cold_{n}", f"warm_{n}", f"cold_{n}") for n in range(1, most + 1)]
    return Outcome("Host memory per pair (PSS of both QEMUs), by pairs at once", "MiB", rounds, ratios, facts)
