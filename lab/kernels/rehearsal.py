# SPDX-License-Identifier: GPL-2.0-only
"""What a build would do: which patches go on what, and whether they fit, before anything is fetched, made or waited
for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.kernels.build import find_built
from lab.kernels.recipe import Recipe
from lab.kernels.tree import fits

FITS, UNKNOWN = "every patch fits", "whether they fit shows when the base is unpacked, which no build has done yet"


def rehearsed(recipe: Recipe) -> Iterator[tuple[str, list[str]]]:
    """Rows of what would be done. Raises BadInput with the first patch that does not fit, and contradicting options."""
    base, patches = recipe.base, recipe.series.patches
    built = find_built(recipe)
    yield "kernel", [f"{recipe.name}, expected to behave like {recipe.design}"]
    yield "base", [f"{base.label} ({base.version or 'version not known'})", base.key]
    told = [f"{n}. {p.subject}  ({p.author}; {p.source})" for n, p in enumerate(patches, start=1)]
    yield "series", [*told, FITS if fits(recipe.base, recipe.series) else UNKNOWN] if told else ["none"]
    yield "fragments", [f"{Path(f.name).name}  ({f.name})" for f in recipe.fragments]
    yield "options", [f"{len(recipe.merged())}"]
    yield "build", [f"is there already: {built.boot}" if built else "would be built"]
