# SPDX-License-Identifier: GPL-2.0-only
"""`lab kernel`: build kernels from source, series and config fragments, and look after what is built."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import AS_PREDICTED, LAB_FAILED
from lab.cli.listing import print_entries, print_json_lines
from lab.cli.options import MOST, Days
from lab.cli.progress import shown
from lab.errors import BadInput
from lab.text.terminal import say
from lab.units import MIB, mib

if TYPE_CHECKING:
    from lab.kernels.products import Product
    from lab.kernels.recipe import Recipe

NO_TREE = "its base was pruned; build a kernel of it again, and the reason can be told"

kernel = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Build kernels, and look after them.")


@kernel.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="[BASE:]DESIGN[+OVERLAY...][~MUTANT]; `all` for every design.", autocompletion=complete.built
        ),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="6.12, 7.2.12, a TARBALL, or GIT_DIRECTORY[#REVISION].")] = "",
    series: Annotated[
        str, typer.Option("--series", help="An mbox, a patch, a directory, quilt's `series`, or a MESSAGE-ID.")
    ] = "",
    config: Annotated[list[Path] | None, typer.Option("--config", help="A config fragment; repeatable.")] = None,
    name: Annotated[str, typer.Option("--name", help="What to call it from now on.")] = "",
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the package manager for a newer --base.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go on what, try whether it fits, and build nothing.")
    ] = False,
) -> None:
    """Build kernels by name, or one of your own from --base, --series and --config."""
    from lab.host.interrupt import end_in_order
    from lab.kernels import recipes
    from lab.kernels.build import ensure_built, find_built

    is_own = bool(base or series or config or name)
    if is_own == bool(names):
        raise BadInput(["name kernels, or describe one by --base, --series, --config."], hint="lab kernel build --help")
    end_in_order()  # make must not outlive a SIGTERM either
    if is_own:
        wanted = [recipes.custom(base, series, config or [], name, refresh=refresh)]
        wanted[0].merged()
    else:
        wanted = _named(names or [])
    if dry_run:
        _rehearse(wanted)
        return
    with shown() as progress:
        for recipe in wanted:
            known = find_built(recipe)
            product = ensure_built(recipe, progress)
            if is_own:
                recipes.remember(recipe)
            facts = product.record
            how = "was there already" if known else f"{facts['objects']} objects, {facts['seconds']:.0f} s"
            say(f"{recipe.name}: {facts['release']}, {how}: {product.boot}")


def _rehearse(wanted: list[Recipe]) -> None:
    """Say what would be built. Raises BadInput with what does not fit in all of them."""
    from lab.kernels.rehearsal import rehearsed

    problems, hints = list[str](), list[str]()
    for recipe in wanted:
        try:
            print_entries(rehearsed(recipe))
        except BadInput as exc:
            problems += exc.problems
            hints.append(exc.hint)
    if problems:
        raise BadInput(problems, hint="; ".join(dict.fromkeys(hints)))


@kernel.command("list")
def list_built(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and built kernel.")] = False,
) -> None:
    """List what is built, and what could be built."""
    from lab.experiments.found import all_designs
    from lab.kernels import products, recipes

    found = products.everything()
    if as_json:
        print_json_lines(p.record | {"path": str(p.path), "size": p.size, "last_used": p.last_used} for p in found)
        return
    say("Built:\n" if found else "Nothing is built yet.")
    print_entries((p.record["name"], _summary(p)) for p in found)
    say("\nCan be built: [BASE:]DESIGN[+OVERLAY...][~MUTANT]\n")
    print_entries((name, [all_designs()[name].summary]) for name in recipes.designs())
    say(f"\nOverlays: {', '.join(recipes.overlays())}")
    say(f"Mutants:  {', '.join(map(str, recipes.mutants())) or 'none'}")
    say(f"Yours:    {', '.join(recipes.own_names()) or 'none; lab kernel build --base B --series S --name N'}")


def _summary(product: Product) -> list[str]:
    """Base and series, fragments, size and age."""
    facts = product.record
    count = len(facts["series"])
    patches = f"{count} {'patch' if count == 1 else 'patches'} {facts['series_key'][:8]}" if count else "no patch"
    fragments = ", ".join(Path(f["name"]).name for f in facts["fragments"])
    return [
        f"{facts['release']} from {facts['base']['label']}, {patches}",
        f"{fragments}; {mib(product.size)}, built {facts['built'][:16]}, used {_ago(product.last_used)}",
    ]


def _ago(moment: float) -> str:
    hours = (time.time() - moment) / 3600
    return (
        f"{hours * 60:.0f} min ago"
        if hours < 1
        else f"{hours:.0f} h ago"
        if hours < 48
        else f"{hours / 24:.0f} days ago"
    )


@kernel.command()
def show(
    name: Annotated[str, typer.Argument(help="A kernel that is built.", autocompletion=complete.built)],
    as_json: Annotated[bool, typer.Option("--json", help="The record as one JSON object.")] = False,
) -> None:
    """Say all about a built kernel, and check that it still is what its record says.

    Exit code: [bold]0[/bold] it is; [bold]3[/bold] something was changed or damaged.
    """
    product = _built(name)
    damage = product.damage()
    if as_json:
        say(json.dumps(product.record | {"path": str(product.path), "damage": damage}))
    else:
        _tell(product, damage)
    raise typer.Exit(LAB_FAILED if damage else AS_PREDICTED)


def _tell(product: Product, damage: tuple[str, ...]) -> None:
    facts = product.record
    series = [f"{n}. {p['subject']}  ({p['author']})" for n, p in enumerate(facts["series"], start=1)]
    rows = {
        "kernel": [f"{facts['name']}, {facts['release']}, expected to behave like {facts['design']}"],
        "directory": [str(product.path)],
        "base": [facts["base"]["label"], facts["base"]["key"]],
        "series": [*series, f"key {facts['series_key']}"] if series else ["none"],
        "fragments": [f"{f['name']}  {f['key']}" for f in facts["fragments"]],
        "toolchain": [facts["toolchain"]],
        "key": [facts["key"]],
        "vmlinux": [f"sha256 {facts['sha256']}"],
        "config": [f"sha256 {facts['config_sha256']}"],
        "built": [f"{facts['built']}: {facts['objects']} objects in {facts['make_seconds']} s"],
        "checked": list(damage) or ["hashes and keys are as recorded"],
    }
    print_entries(rows.items())


@kernel.command()
def config(
    name: Annotated[str, typer.Argument(help="A kernel that is built.", autocompletion=complete.built)],
    options: Annotated[list[str], typer.Argument(metavar="OPTION...", help="With or without CONFIG_.")],
) -> None:
    """Say why an option of a built kernel has its value."""
    from lab.kernels.base import Base
    from lab.kernels.fragments import merge
    from lab.kernels.reasons import explain
    from lab.kernels.tree import kconfig_of

    product = _built(name)
    have, asked, known = product.config(), merge(product.fragments()), kconfig_of(Base(**product.record["base"]))
    rows = []
    for option in (o if o.startswith("CONFIG_") else f"CONFIG_{o}" for o in options):
        by = asked.get(option)
        why = [f"asked for at {by.where}"] if by else list(explain(known, option, have) if known else [NO_TREE])
        rows.append((f"{option}={have.get(option, 'n')}", why))
    print_entries(rows)


@kernel.command()
def prune(
    unused_for: Days = 30,
    most: Annotated[float | None, MOST] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove built kernels, object directories and source trees that nobody used for long, or that are too much.

    The compiler's cache limits itself. What a running session uses stays.
    """
    from lab.kernels.prune import prune as prune_cache

    limit = None if most is None else int(most * 1024 * MIB)
    done = prune_cache(timedelta(days=unused_for), limit, dry_run=dry_run)
    for item, stays in done:
        verb = f"stays ({stays})" if stays else "would go" if dry_run else "removed"
        say(f"{verb}: {item.kind} {item.label}, {mib(item.size)}, used {_ago(item.last_used)}: {item.path}")
    freed = mib(sum(item.size for item, stays in done if not stays))
    say(f"{freed} {'would be' if dry_run else 'are'} free again" if done else "nothing to remove")


@kernel.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="Names given by --name.", autocompletion=complete.own_kernels)],
) -> None:
    """Let names that were given by --name mean nothing again.

    What was built under them stays until `prune` takes it, and is found again by an identical request.
    """
    from lab.kernels import recipes

    recipes.forget(names)
    say(f"forgotten: {', '.join(dict.fromkeys(names))}")


def _built(name: str) -> Product:
    """The product of that name. Raises BadInput when it is not built."""
    from lab.kernels import products, recipes
    from lab.kernels.build import find_built

    found = find_built(recipes.recipe_of(name)) if recipes.is_buildable(name) else None
    found = found or next((p for p in products.everything() if p.record["name"] == name), None)
    if found is None:
        raise BadInput([f"kernel {name!r} is not built."], hint=f"lab kernel build {name}; lab kernel list")
    return found


def _named(names: list[str]) -> list[Recipe]:
    """The recipes of names. Raises BadInput with the problems of all of them."""
    from lab.kernels import recipes
    from lab.kernels.catalogue import resolve
    from lab.kernels.recipe import Recipe

    every = recipes.designs() if names == ["all"] else tuple(names)
    strangers = [n for n in every if not recipes.is_buildable(n)]
    if strangers:
        known = ", ".join((*recipes.designs(), *recipes.own_names()))
        raise BadInput(
            [f"kernel {n!r} is none that the lab builds; there are {known}." for n in strangers], hint="lab kernel list"
        )
    return [kernel for kernel in resolve(every) if isinstance(kernel, Recipe)]
