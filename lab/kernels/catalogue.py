# SPDX-License-Identifier: GPL-2.0-only
"""The kernels a user can name: every one the distribution offers, and any that lies on this disk."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.errors import BadInput, HostTrouble
from lab.experiments.found import all_designs
from lab.host.records import tell
from lab.kernels import lists, products, recipes
from lab.kernels.local import LocalKernel, display, local
from lab.kernels.recipe import Recipe
from lab.kernels.stock import ANY, CatalogueKernel, catalogue, everything, fitting
from lab.plan.design import design_of

__all__ = ["CatalogueKernel", "Kernel", "LocalKernel", "catalogue", "everything", "fitting", "resolve", "united"]

HINT = "lab kernels (lists what can be had); PATH[:MODULES_DIR][@DESIGN[+OVERLAY...]] for a kernel you built"

Kernel = CatalogueKernel | LocalKernel | Recipe

_VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Known:
    """Kernels of the distribution among which a name is looked for, and what kept us from knowing more of them."""

    kernels: Sequence[CatalogueKernel]
    troubles: tuple[str, ...] = ()


def resolve(names: Sequence[str], *, known: Sequence[CatalogueKernel] | None = None) -> tuple[Kernel, ...]:
    """The kernels meant by names: `6.12.117+deb12-amd64`, `6.12`, `7.2.12`, `newest` or `newest-any`; a path, see
    `local`; or one to be built, `[BASE:]DESIGN[+OVERLAY...][~MUTANT]`. Each may end in `@DESIGN[+OVERLAY...]`, what it
    is expected to behave like.

    Raises BadInput with all problems, HostTrouble when the package manager knows no kernel at all.
    """
    problems: list[str] = []
    among = Known(known or ())
    shipped = [bare for bare, _ in map(_split_design, names) if _is_offered(bare)]
    if known is None and shipped:
        among = _known_for(shipped)
    found: list[Kernel] = []
    hints: list[str] = []
    for name in names:
        bare, design = _split_design(name)
        if design and design_of(design) not in all_designs():
            problems.append(_unknown("design", design_of(design), list(all_designs())))
            continue
        kernel = _one(bare, design, among, problems, hints)
        if kernel and kernel not in found:
            found.append(kernel)
    if problems:
        raise BadInput([*problems, *_name_clashes(found)], hint="; ".join(dict.fromkeys(hints)) or HINT)
    return united(found)


def united(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Each kernel once. Raises BadInput when different ones have the same name."""
    found: list[Kernel] = []
    for kernel in kernels:
        if kernel not in found:
            found.append(kernel)
    if clashes := _name_clashes(found):
        raise BadInput(clashes, hint=HINT)
    return tuple(found)


def _one(bare: str, design: str, known: Known, problems: list[str], hints: list[str]) -> Kernel | None:
    if _is_path(bare):
        return local(bare, design or "stock", problems)
    if _is_offered(bare):
        return _offered(bare, design or "stock", known, problems)
    try:
        recipe = recipes.recipe_of(bare)
        recipe.merged()  # two fragments that contradict each other are told with the rest
    except BadInput as exc:
        problems += exc.problems
        hints += [exc.hint] if exc.hint else []
        return None
    return recipe.as_design(design) if design else recipe


def _split_design(name: str) -> tuple[str, str]:
    bare, at, design = name.rpartition("@")
    return (bare, design) if at and "/" not in design else (name, "")


def _is_path(bare: str) -> bool:
    return "/" in bare or bare.endswith(".deb") or bare in (".", "..")


def _is_offered(bare: str) -> bool:
    """Whether it can only be a kernel of the distribution."""
    return not _is_path(bare) and not recipes.is_buildable(bare)


def _offered(bare: str, design: str, known: Known, problems: list[str]) -> CatalogueKernel | None:
    found = fitting(bare, known.kernels)
    if found is None:
        lines = dict.fromkeys(k.line for k in known.kernels if k.flavour == "generic")
        words = ["newest", ANY, *lines, *(k.name for k in known.kernels)]
        words += [*recipes.designs(), *recipes.own_names()]
        building, who = products.being_built()
        if building == bare:
            problems.append(f"kernel {bare!r} is being built by {who}: ask again when that has ended.")
            return None
        problems.append(_unknown("kernel", bare, words))
        problems += [told for trouble in known.troubles if (told := f"{trouble}.") not in problems]
        return None
    return replace(found, name=display(found.name, design), design=design_of(design))


def _known_for(names: Sequence[str]) -> Known:
    """The host's own kernels; those of other suites too where a name means none of the host's.

    Lists of other suites are read where nobody remembers a name either. Raises HostTrouble when there is no kernel.
    """
    own = catalogue()
    if all(name != ANY and fitting(name, own) for name in names):
        return Known(own)
    every = everything()
    wanting = [name for name in names if _VERSION.match(name) and not fitting(name, every)]
    due = lists.due(lists.listings(), unasked=not wanting) if wanting or ANY in names else ()
    if due:
        lists.refresh(due, tell)
        every = everything()
    if not every or ("newest" in names and not fitting("newest", every)):
        raise HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
    troubles = tuple(listing.told for listing in lists.listings() if listing.told)
    if due and all(fitting(name, every) for name in names):
        for trouble in troubles:
            tell(trouble)
    return Known(every, troubles)


def _name_clashes(found: Sequence[Kernel]) -> list[str]:
    names = [k.name for k in found]
    return [
        f"kernel {name}: {names.count(name)} different kernels have this name; give them another CONFIG_LOCALVERSION."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _unknown(what: str, word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"{what} {word!r} is not known" + (f"; close: {', '.join(close)}." if close else ".")
