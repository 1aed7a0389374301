# SPDX-License-Identifier: GPL-2.0-only
"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete

if TYPE_CHECKING:
    from lab.session.conduct import Conducts

RunOrSession = Annotated[
    str,
    typer.Argument(
        metavar="[RUN|SESSION]",
        help="Run id or its beginning, session, or the path of either. Default: the newest session.",
        autocompletion=complete.runs_and_sessions,
    ),
]


def finite(value: float | None) -> float | None:
    """`nan` is within every range."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("a number is wanted")
    return value


Days = Annotated[
    float,
    typer.Option("--unused-for", min=0, max=36500, callback=finite, help="Remove what was not used for so many days."),
]
MOST = typer.Option("--most", min=0, max=1_000_000, callback=finite, help="Keep at most so many GiB, those used last.")
Known = Annotated[
    Path | None,
    typer.Option("--known", envvar="LAB_KNOWN", help="File of known issues, in TOML (docs/archive.md)."),
]
ResultsFolder = Annotated[
    Path | None, typer.Option("--results", envvar="LAB_RESULTS", help="Folder of sessions. Default: ./results")
]
Cold = Annotated[bool, typer.Option("--cold", help="Boot every guest instead of restoring saved ones (lab cache).")]
Hosts = Annotated[
    Path | None,
    typer.Option(
        "--hosts", help="Have the hosts of an Ansible inventory do the runs (docs/fleet.md).", metavar="INVENTORY"
    ),
]
Carrier = Annotated[
    str,
    typer.Option(
        "--carrier",
        help="With --hosts: parallel (GNU parallel), local (a process of the lab's) or slurm.",
        autocompletion=complete.carriers,
    ),
]


def pairs_of(text: str) -> int:
    """0 for auto, -1 for what is neither that nor a positive number: what takes it reports it with the rest."""
    if text == "auto":
        return 0
    return int(text) if text.isdigit() and int(text) else -1


def conducting(hosts: Path | None, carrier: str) -> Conducts:
    """What conducts a command's sessions: this host, or those of a list. Raises BadInput with what is wrong with it."""
    from lab.session.conduct import conduct

    if hosts is None:
        return conduct
    from lab.fleet.conduct import conducted_by

    return conducted_by(hosts, carrier)
