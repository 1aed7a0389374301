# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is compared with: the same base and options without the design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.errors import BadInput
from lab.experiments.found import all_designs
from lab.kernels.catalogue import CatalogueKernel, Kernel, LocalKernel
from lab.kernels.naming import parse_name
from lab.kernels.recipes import recipe_of


def references(tested: Sequence[Kernel], named: Kernel | None = None) -> dict[str, Kernel]:
    """By the name of each kernel, the one to compare it with: the one that was named, else the stock one of its kind.

    Raises BadInput naming every kernel of which the lab does not know what it was made from.
    """
    found = {kernel.name: named or stock_of(kernel) or _beside(tested) for kernel in tested}
    problems = [
        f"kernel {name}: nobody knows what it was built from, so not what it compares with either."
        for name, reference in found.items()
        if reference is None
    ]
    if problems:
        raise BadInput(problems, hint="--reference KERNEL: the same base and options without the series")
    return {name: reference for name, reference in found.items() if reference is not None}


def stock_of(kernel: Kernel) -> Kernel | None:
    """The kernel without design and mutant; None for one that somebody built, or named, himself."""
    if isinstance(kernel, CatalogueKernel):
        return replace(kernel, name=kernel.release, design="stock")
    parts = None if isinstance(kernel, LocalKernel) else parse_name(kernel.name.partition("@")[0])
    return recipe_of(str(replace(parts, stem="stock", mutant=""))) if parts and parts.stem in all_designs() else None


def _beside(tested: Sequence[Kernel]) -> Kernel | None:
    """The first stock kernel that was named. Not a distribution's: its options are others."""
    return next((k for k in tested if k.design == "stock" and not isinstance(k, CatalogueKernel)), None)
