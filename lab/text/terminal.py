# SPDX-License-Identifier: GPL-2.0-only
"""What reaches a terminal: nothing else in the package writes to one, so that nobody can forget to clean what it shows.

A guest, a bundle, a file's name and an error message of a host may hold whatever a terminal obeys: escapes, carriage
returns, overrides of the direction of writing. rich's markup in them is no markup either.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import IO

import rich.console
import typer
from rich.segment import Segment

from lab.text.words import printable


def say(text: object = "", *, err: bool = False) -> None:
    """A text and a newline on standard output, or standard error."""
    typer.echo(printable(str(text)), err=err)


def say_traceback() -> None:
    """The exception that is being handled, on standard error: a fault of ours, which may quote what others wrote."""
    say(traceback.format_exc().rstrip("\n"), err=True)


class Console(rich.console.Console):
    """rich's console. Strings are no markup, and what is to be printed is cleaned when it has been laid out."""

    def __init__(
        self,
        *,
        stderr: bool = False,
        file: IO[str] | None = None,
        width: int | None = None,
        no_color: bool | None = None,
    ) -> None:
        super().__init__(
            stderr=stderr, file=file, width=width, no_color=no_color, markup=False, emoji=False, highlight=False
        )

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Control codes are rich's own; a text has none."""
        for segment in super().render(renderable, options):
            clean = segment.text if segment.control else printable(segment.text)
            yield segment if clean == segment.text else Segment(clean, segment.style)
