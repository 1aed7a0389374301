"""`lab kernel`: build kernels from source, series and config fragments, and look after what is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.progress import shown
from lab.errors import BadInput

if TYPE_CHECKING:
    from lab.kernels.recipe import Recipe

kernel = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Build kernels, and look after them.")


@kernel.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="[BASE:]DESIGN[+OVERLAY...][~MUTANT]; `all` for every design.", autocompletion=complete.built
        ),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="6.12, 6.12.115, a TARBALL, or GIT_DIRECTORY#REVISION.")] = "",
    series: Annotated[str, typer.Option("--series", help="An mbox, one patch, or a directory of patches.")] = "",
    config: Annotated[list[Path] | None, typer.Option("--config", help="A config fragment; repeatable.")] = None,
    name: Annotated[str, typer.Option("--name", help="What to call it from now on.")] = "",
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the package manager for a newer --base.")] = False,
) -> None:
    """Build kernels by name, or one of your own from --base, --series and --config."""
    from lab.interrupt import end_in_order
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
    with shown() as progress:
        for recipe in wanted:
            known = find_built(recipe)
            product = ensure_built(recipe, progress)
            if is_own:
                recipes.remember(recipe)
            facts = product.record
            how = "was there already" if known else f"{facts['objects']} objects, {facts['seconds']:.0f} s"
            typer.echo(f"{recipe.name}: {facts['release']}, {how}: {product.boot}")


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
