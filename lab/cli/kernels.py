# SPDX-License-Identifier: GPL-2.0-only
"""`lab kernels`: what the distribution offers and what is here already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.listing import print_entries, print_json_lines
from lab.cli.progress import shown
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.kernels.catalogue import CatalogueKernel


def kernels(
    every: Annotated[bool, typer.Option("--all", help="Every version, not only the newest of each line.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read the package lists of other suites again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and kernel, all of them.")] = False,
) -> None:
    """List the kernels that can be had: of this host's package lists, and of other suites of the distribution.

    Those lists are read once, without root, and again by --refresh; a suite that cannot be reached is told.
    A kernel of yours is named by its path; its modules, and the design that it
    is expected to behave like, may be left out:
    [cyan]--kernel ./bzImage:./lib/modules/6.12.0@precharge[/cyan]
    """
    from lab.errors import HostTrouble
    from lab.experiments.found import all_designs
    from lab.kernels import lists, products, recipes
    from lab.kernels.catalogue import everything

    remembered = lists.listings()
    due = [listing.archive for listing in remembered] if refresh else lists.due(remembered, unasked=True)
    if due:
        with shown() as progress:
            lists.refresh(due, progress)
    for listing in lists.listings():
        if listing.told:
            say(listing.told, err=True)
    offered = everything()
    if as_json:
        print_json_lines(asdict(kernel) for kernel in offered)
        return
    if not offered:
        raise HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
    rows = list(_all(offered) if every else _newest(offered))
    say("Kernels: lab run --kernel NAME, or by line (6.12), version (7.2.12), newest\n")
    print_entries(rows)
    if not every:
        say(f"\nThese are the newest of each line; lab kernels --all: {len(offered) - len(rows)} more")
    here = {p.record["name"]: "built" for p in products.everything()}
    building, who = products.being_built()
    if building:
        here[building] = f"being built by {who}"
    say("\nKernels that the lab builds: [BASE:]DESIGN[+OVERLAY...]; see lab kernel list\n")
    names = dict.fromkeys((*recipes.designs(), *recipes.own_names(), *([building] if building else [])))
    print_entries((name, [here.get(name, "to build")]) for name in names)
    say("\nDesigns that a kernel of yours may claim: PATH[:MODULES_DIR]@DESIGN\n")
    print_entries((design.name, [design.summary]) for design in all_designs().values())


def _newest(offered: Sequence[CatalogueKernel]) -> Iterator[tuple[str, list[str]]]:
    """The kernel that each line means, or the newest that it has."""
    from lab.kernels.catalogue import fitting

    for line, group in groupby(offered, lambda k: k.line):
        kernels = list(group)
        kernel = fitting(line, kernels) or kernels[-1]
        yield line, [f"{kernel.name}: {_told(kernel, offered)}"]


def _all(offered: Sequence[CatalogueKernel]) -> Iterator[tuple[str, list[str]]]:
    """Every kernel under its line."""
    from lab.kernels.catalogue import fitting

    for line, group in groupby(offered, lambda k: k.line):
        kernels = list(group)
        yield line, [""]
        for kernel in kernels:
            short = f" = {line}" if kernel == fitting(line, kernels) else ""
            yield f"  {kernel.name}", [f"{kernel.flavour}, {_told(kernel, offered)}{short}"]


def _told(kernel: CatalogueKernel, offered: Sequence[CatalogueKernel]) -> str:
    from lab.kernels.catalogue import fitting

    found = [kernel.archive] if kernel.archive else []
    found += ["fetched" if kernel.fetched else f"{kernel.size / 1e6:.0f} MB to fetch"]
    found += ["its modules are gone from the mirror: loopback at most"] if kernel.is_bare else []
    found += [f"lacks {', '.join(kernel.lacks)}"] if kernel.lacks and not kernel.is_bare else []
    short = "".join(f" = {name}" for name in ("newest", "newest-any") if fitting(name, offered) == kernel)
    return ", ".join(found) + short
