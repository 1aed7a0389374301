# SPDX-License-Identifier: GPL-2.0-only
"""The `lab` command. One file per command; what becomes of an error, and of a verdict, is an exit code here only."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from lab.cli.exits import FOR_BISECT, FOR_GIT, LAB_FAILED, LabGroup
from lab.cli.streams import flushed, make_lasting
from lab.text.terminal import say, say_traceback

COMMANDS = (
    *("setup", "doctor", "run", "show", "judge", "report", "selftest", "shell"),
    *("kernels", "nics", "cases", "new", "mutants", "bisect", "kernel", "cache", "archive", "compare", "history"),
    *("since", "site", "nightly", "hosts", "batch"),
)
"""In the order of the help. Each has a module of its name, with a function or a group of commands of that name."""

EPILOG = """\
[bold]First steps[/bold]

  [cyan]make setup[/cyan]    packages, kernels, guest image

  [cyan]lab doctor[/cyan]    what this host can do, and the cure for what it cannot

  [cyan]lab run fast[/cyan]  a first answer in seconds, both ends in one guest

  [cyan]lab run hold --kernel 6.12 --nic e1000e-split[/cyan]  one case, two machines

  [cyan]lab show hold[/cyan]  what the newest run of a case says, and why

[bold]Exit codes[/bold]

  [bold]0[/bold]  every verdict is the predicted one

  [bold]1[/bold]  some verdict is another one

  [bold]2[/bold]  bad input

  [bold]3[/bold]  the lab failed, nothing was tried, or a MISS or ERROR not predicted
"""


def _tell_version(wanted: bool) -> None:
    if wanted:
        from lab.host.version import lab_version

        say(f"lab {lab_version()}")
        raise typer.Exit


def lab(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Version, and the commit of a checkout."),
    ] = False,
) -> None:
    """Boots pairs of machines, maps TCP streams between them, and says whether the kernel billed every byte."""


def assembled(only: str = "") -> typer.Typer:
    """`lab` with all its commands, or with the one that is wanted: to import the others takes longer than a TAB may."""
    app = typer.Typer(
        cls=LabGroup,
        name="lab",
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=EPILOG,
    )
    app.callback()(lab)
    for name in (only,) if only in COMMANDS else COMMANDS:
        command = getattr(importlib.import_module(f"lab.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command()(command)
    return app


def named(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """The first word after `lab`, in a command line or in one that a shell completes; "" while it is being typed."""
    if "_LAB_COMPLETE" not in environ:
        return argv[1] if len(argv) > 1 else ""
    if environ.get("COMP_CWORD") in ("0", "1"):
        return ""
    typed = re.match(r"\s*\S+\s+(\S+)\s", environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS", ""))
    return typed.group(1) if typed else ""


def main() -> None:
    """All of `lab`; see lab.__main__. However it ends, git does not hear that the lab's own trouble is a bad commit."""
    try:
        _main()
    except SystemExit as ended:
        if FOR_BISECT in sys.argv and ended.code in FOR_GIT:
            raise SystemExit(FOR_GIT[ended.code]) from None
        raise


def _main() -> None:
    make_lasting()
    try:
        assembled(named(sys.argv, os.environ))(prog_name="lab")
    except Exception:  # noqa: BLE001 - a fault of ours must not look like a verdict
        say_traceback()
        sys.exit(LAB_FAILED)
    finally:
        if trouble := flushed():
            say(f"lab: {trouble}", err=True)
            sys.exit(LAB_FAILED)
