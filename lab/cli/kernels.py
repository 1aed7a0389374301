# SPDX-License-Identifier: GPL-2.0-only
"""`lab kernels`: what the distribution offers and what is here already."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lab.cli.listing import print_entries, print_json_lines
from lab.text.terminal import say


def kernels(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and kernel.")] = False,
) -> None:
    """List the kernels that can be had.

    A kernel of yours is named by its path; its modules, and the design that it
    is expected to behave like, may be left out:
    [cyan]--kernel ./bzImage:./lib/modules/6.12.0@precharge[/cyan]
    """
    from lab.errors import HostTrouble
    from lab.experiments.found import all_designs
    from lab.kernels import products, recipes
    from lab.kernels.catalogue import CatalogueKernel, catalogue

    offered = catalogue()
    if as_json:
        print_json_lines(asdict(kernel) for kernel in offered)
        return
    if not offered:
        raise HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
    newest = {k.line: k.name for k in offered if k.flavour == "generic"}

    def lines(kernel: CatalogueKernel) -> list[str]:
        here = "fetched" if kernel.fetched else f"{kernel.size / 1e6:.0f} MB to fetch"
        short = f" = {kernel.line}" if newest.get(kernel.line) == kernel.name else ""
        short += " = newest" if list(newest.values())[-1:] == [kernel.name] else ""
        lacks = f", lacks {', '.join(kernel.lacks)}" if kernel.lacks else ""
        return [f"{kernel.flavour}, {here}{short}{lacks}"]

    say("Kernels: lab run --kernel NAME, or by line (6.12), or newest\n")
    print_entries((kernel.name, lines(kernel)) for kernel in offered)
    here = {p.record["name"] for p in products.everything()}
    say("\nKernels that the lab builds: lab run --kernel [BASE:]DESIGN[+OVERLAY...]; see lab kernel list\n")
    print_entries((n, ["built" if n in here else "to build"]) for n in (*recipes.designs(), *recipes.own_names()))
    say("\nDesigns that a kernel of yours may claim: PATH[:MODULES_DIR]@DESIGN\n")
    print_entries((design.name, [design.summary]) for design in all_designs().values())
