# SPDX-License-Identifier: GPL-2.0-only
"""Plans on disk whose kernels and image nobody boots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.contracts import BootableKernel, GuestImage
from lab.host.paths import cache_root
from lab.plan.matrix import Run
from lab.plan.session import PLAN_FILE, SessionPlan, dump


def kernel(name: str) -> BootableKernel:
    return BootableKernel(name, Path("/k"), Path("/i"), "6.12", "stock", "0", "")


def planned(folder: Path, kernels: Sequence[BootableKernel], runs: tuple[Run, ...], pairs: int = 1) -> SessionPlan:
    made = SessionPlan(
        name="s",
        started="2026-01-01T00:00:00+00:00",
        command="pytest",
        folder=folder,
        sockets=folder,
        connect="none",
        accelerator="tcg",
        pairs=pairs,
        image=GuestImage(Path("/u"), "0", "0"),
        kernels=tuple(kernels),
        runs=runs,
    )
    return written(made)


def written(plan: SessionPlan) -> SessionPlan:
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    return plan
