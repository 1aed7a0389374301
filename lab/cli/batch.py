# SPDX-License-Identifier: GPL-2.0-only
"""`lab batch`: one work order in, bundles and a result file out. No terminal is needed, nor any state but the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.exits import INTERRUPTED
from lab.cli.exits import told as message
from lab.errors import BadInput
from lab.text.terminal import say


def batch(
    order: Annotated[Path | None, typer.Argument(help="A work order.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for bundles and batch.json.")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Be a host: answer a controller on standard input (docs/fleet.md).")
    ] = False,
) -> None:
    """Carry out a work order of `lab run --hosts` on this host.

    Exit code: [bold]0[/bold] there are verdicts, whatever they are; [bold]75[/bold] trouble of this
    host or the lab, try elsewhere; [bold]65[/bold] the order makes no sense.
    """
    if serve:
        from lab.fleet.serve import serve as answer

        answer()
        return
    if order is None or out is None:
        raise BadInput(["lab batch takes ORDER.json and --out DIR, or --serve"])
    from lab.cli.verdicts import listening
    from lab.fleet.batch import NO_SENSE, execute, read_order

    try:
        wanted = read_order(order)
    except BadInput as exc:
        say(message(exc), err=True)
        raise typer.Exit(NO_SENSE) from exc
    with listening() as listener:
        outcome = execute(wanted, out, listener)
    for problem in outcome.trouble:
        say(f"lab: {problem}", err=True)
    raise typer.Exit(INTERRUPTED if outcome.interrupted else outcome.code)
