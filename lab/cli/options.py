"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli import complete

RunOrSession = Annotated[
    str,
    typer.Argument(
        metavar="[RUN|SESSION]",
        help="Run id or its beginning, session, or the path of either. Default: the newest session.",
        autocompletion=complete.runs_and_sessions,
    ),
]
ResultsFolder = Annotated[Path | None, typer.Option("--results", help="Folder of sessions. Default: ./results")]
Cold = Annotated[bool, typer.Option("--cold", help="Boot every guest instead of restoring saved ones (lab cache).")]
