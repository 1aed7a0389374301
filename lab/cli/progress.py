# SPDX-License-Identifier: GPL-2.0-only
"""Shows what long work is doing: a line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from lab.contracts import Progress
from lab.text.terminal import Console, say
from lab.text.words import one_line

_EVERY = 5.0  # seconds between plain lines that only differ after their first colon


@contextmanager
def shown(console: Console | None = None) -> Iterator[Progress]:
    """Standard output stays free for results.

    console  on standard error; who has lines of its own to print meanwhile gives the one that it prints them on
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines()
        return
    spinner = Spinner("dots")
    with Live(spinner, console=console, transient=True, redirect_stdout=sys.stdout.isatty()):  # a file gets its lines
        yield lambda text: spinner.update(text=_fitting(text, console.width - 2))


def _fitting(text: str, width: int) -> Text:
    told = Text(one_line(text))
    told.truncate(max(width, 1), overflow="ellipsis")
    return told


class PlainLines:
    """For logs: one line per step, and a sign of life of a long one."""

    def __init__(self) -> None:
        self._step, self._said_at = "", 0.0

    def __call__(self, text: str) -> None:
        step, now = text.partition(":")[0] if "MiB of" in text or "objects" in text else text, time.monotonic()
        if step == self._step and now - self._said_at < _EVERY:
            return
        self._step, self._said_at = step, now
        say(f"  {text}", err=True)
