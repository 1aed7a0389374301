# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel of a suspect is made of: a package, or a recipe by the history that the suspect is from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lab.campaign.bisect import commits, patches
from lab.campaign.bisect.engine import UnfitError
from lab.campaign.bisect.model import REVERT, Asked, Search, Suspect
from lab.errors import CommandFailed

if TYPE_CHECKING:
    from lab.kernels.catalogue import Kernel
    from lab.kernels.recipe import Recipe


def kernel_of(asked: Asked, suspect: Suspect) -> Kernel:
    """Raises BadInput."""
    from lab.kernels.catalogue import resolve

    if asked.kind != "packages" and suspect.name != REVERT:
        make = commits.recipe_of if asked.kind == "commits" else patches.recipe_of
        return make(asked, suspect)
    (kernel,) = resolve((suspect.kernel,))
    return kernel


def is_there(kernel: Kernel) -> bool:
    """Whether nothing has to be fetched or built for it."""
    from lab.kernels.build import find_built
    from lab.kernels.catalogue import CatalogueKernel
    from lab.kernels.recipe import Recipe
    from lab.kernels.stock import unpacked_dir

    if isinstance(kernel, CatalogueKernel):  # which may have been unpacked since it was found
        return kernel.fetched or unpacked_dir(kernel.release, kernel.version, kernel.mark).is_dir()
    return not isinstance(kernel, Recipe) or find_built(kernel) is not None


def without(search: Search, culprit: str) -> Recipe:
    """The bad end without one suspect. Raises BadInput; UnfitError with the reason where there is no such kernel."""
    asked, wrong = search.asked, search.range.named(culprit)
    if asked.kind == "packages":
        raise UnfitError("a package cannot be taken out")
    if culprit == search.range.bad.name:
        raise UnfitError("it is the bad end itself: without it, that is its parent")
    if len(wrong.parents) > 1:
        raise UnfitError("it is a merge")
    if asked.kind == "commits":
        return commits.without(asked, search.range.bad, wrong)
    return patches.without(asked, wrong)


def paths_between(search: Search, one: str, other: str) -> Iterator[str]:
    """Files that differ between the sources of two kernels, of which the first may be the one without the culprit."""
    asked = search.asked
    if asked.kind == "commits":
        last = search.range.bad.name if one == REVERT else one
        try:
            told = commits.git(Path(asked.source), "diff", "--name-only", last, other)
        except CommandFailed:
            return
        yield from told.splitlines()
    elif asked.kind == "patches" and one != REVERT:
        yield from patches.paths_between(asked, one, other)
