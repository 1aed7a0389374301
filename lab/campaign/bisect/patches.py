# SPDX-License-Identifier: GPL-2.0-only
"""A history of patches: a base, and after each patch of a series another kernel."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lab.campaign.bisect.model import Asked, Range, Suspect
from lab.errors import BadInput
from lab.kernels import recipes
from lab.kernels.recipe import Recipe
from lab.kernels.series import Patch, Series
from lab.text.words import one_line

BASE = "base"
_FILE = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


def patches_of(asked: Asked) -> Range:
    """Raises BadInput with every problem of base, series and config."""
    recipe = _whole(asked)
    patches = recipe.series.patches
    if len(patches) < 2:
        raise BadInput(
            [f"--series {asked.source}: one patch is its own culprit"], hint="lab run --kernel, with and without it"
        )
    names = [BASE, *(f"{n}/{len(patches)}" for n in range(1, len(patches) + 1))]
    suspects = [
        Suspect(
            name,
            _kernel(asked, recipe, n),
            one_line(patch.subject, 300),
            one_line(patch.author, 300),
            tuple(filter(None, (one_line(patch.trailer("Fixes"), 300),))),
            (names[n - 1],),
        )
        for n, (name, patch) in enumerate(zip(names[1:], patches, strict=True), start=1)
    ]
    good = Suspect(BASE, _kernel(asked, recipe, 0), f"{recipe.base.label}, no patch")
    return Range("patches", good, tuple(suspects))


def recipe_of(asked: Asked, suspect: Suspect) -> Recipe:
    """The base with the series up to this patch. Raises BadInput."""
    recipe = _whole(asked)
    return _named(recipe, suspect.kernel, recipe.series.patches[: _number(suspect.name)])


def without(asked: Asked, culprit: Suspect) -> Recipe:
    """The series without one patch; whether the rest applies is seen when it is built. Raises BadInput."""
    recipe = _whole(asked)
    number = _number(culprit.name)
    patches = recipe.series.patches
    own = f"{_kernel(asked, recipe, len(patches)).partition('@')[0]}-without-{number}"
    return _named(recipe, own, (*patches[: number - 1], *patches[number:]))


def paths_between(asked: Asked, one: str, other: str) -> set[str]:
    """Files that the patches from one suspect to another touch."""
    low, high = sorted((_number(one), _number(other)))
    diffs = "\n".join(patch.diff for patch in _whole(asked).series.patches[low:high])
    return set(_FILE.findall(diffs))


@lru_cache(maxsize=4)
def _whole(asked: Asked) -> Recipe:
    return recipes.custom(asked.base, asked.source, [Path(path) for path in asked.configs], "bisected")


def _kernel(asked: Asked, recipe: Recipe, number: int) -> str:
    key = f"{recipe.series.key[:6]}{recipe.base.key[:4]}{recipe.config_key[:4]}"
    name = f"bisect-{key}-patch-{number}"
    return f"{name}@{asked.design}" if asked.design else name


def _named(recipe: Recipe, kernel: str, patches: tuple[Patch, ...]) -> Recipe:
    own = kernel.partition("@")[0]
    return replace(recipe, name=own, series=Series(patches))


def _number(name: str) -> int:
    return 0 if name == BASE else int(name.partition("/")[0])
