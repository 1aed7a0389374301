# SPDX-License-Identifier: GPL-2.0-only
"""`lab new`: the files of a case, or of an experiment, to begin with. What is written runs as it is."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from lab.errors import BadInput
from lab.experiments.found import MODULE, all_cases, is_experiment, skeletons
from lab.host.paths import suites_dir
from lab.host.records import write_whole
from lab.text.terminal import say

new = typer.Typer(no_args_is_help=True, help="Write a case, or an experiment in a folder of its own, to begin with.")

NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
Like = Annotated[str, typer.Option("--like", help="The experiment whose skeleton is taken.")]


@new.command("case")
def new_case(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    folder: Annotated[Path | None, typer.Option("--in", help="The folder of its experiment.")] = None,
    like: Like = "",
) -> None:
    """Write one file, a case that runs; to be changed into yours.

    [cyan]lab new case hold-little --in ~/my-suite[/cyan]
    """
    skeleton = _skeleton(like)
    where = folder.expanduser().resolve() if folder else skeleton.parent
    path = where / "cases" / f"{name.replace('-', '_')}.py"
    problems = _named(name)
    if not is_experiment(where):
        problems.append(f"--in {where}: no experiment: it needs __init__.py and {MODULE}.py")
    if name in all_cases() or path.exists():
        problems.append(f"there is a case {name!r} already")
    if problems:
        raise BadInput(problems, hint="lab new experiment FOLDER writes an experiment")
    _write(path, skeleton / "case.py.txt", function=path.stem)
    say(f"{path}\nlab run {name if folder is None else f'{where}:{name}'}")


@new.command("experiment")
def new_experiment(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")], like: Like = ""
) -> None:
    """Make a folder with an experiment of one case that runs; to be changed into yours.

    [cyan]lab new experiment ~/my-suite[/cyan]
    """
    skeleton, folder = _skeleton(like), folder.expanduser().resolve()
    problems = _named(folder.name)
    if folder.exists():
        problems.append(f"{folder} is there already")
    if folder.parent == suites_dir() and "-" in folder.name:
        problems.append(f"{folder.name}: in suites/ it is a package, so write _ for -")
    if problems:
        raise BadInput(problems, hint="lab new experiment ~/my-suite")
    (folder / "cases").mkdir(parents=True)
    for package in (folder / "__init__.py", folder / "cases" / "__init__.py"):
        package.write_text("# SPDX-License-Identifier: GPL-2.0-only\n")
    _write(folder / f"{MODULE}.py", skeleton / f"{MODULE}.py.txt", name=folder.name)
    _write(folder / "cases" / "first.py", skeleton / "case.py.txt", function="first")
    say(f"{folder}\nlab run {folder}")


def _named(name: str) -> list[str]:
    return [] if NAME.fullmatch(name) else [f"{name!r}: a name has small letters, digits, and - or _ between them"]


def _skeleton(like: str) -> Path:
    """Raises BadInput where it is not clear which is meant."""
    known = skeletons()
    wanted = like or (next(iter(known)) if len(known) == 1 else "")
    if wanted not in known:
        raise BadInput([f"--like {wanted or 'EXPERIMENT'}: one of {', '.join(known)}"])
    return known[wanted]


def _write(path: Path, template: Path, **words: str) -> None:
    write_whole(path, Template(template.read_text()).substitute(words).encode())
