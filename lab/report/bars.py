# SPDX-License-Identifier: GPL-2.0-only
"""Where the time went, for a terminal: a waterfall for each run, and the sum over all. 80 columns are enough."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as Grid
from rich.text import Text

from lab.evidence.timing import Timing
from lab.report.model import RunResult, Session
from lab.report.spent import spent
from lab.report.waterfall import Row, waterfall
from lab.report.wording import one_line

LABEL = 30  # columns
LEAST = 0.0005  # of the workers' time: less would be told as 0.0%


def timing(session: Session) -> RenderableType:
    """A waterfall for each run, and where the time of the session's workers went."""
    return Group(*(bars(result) for result in session.results), totals(session))


def bars(result: RunResult) -> RenderableType:
    """The waterfall of one run under its name."""
    name = Text(one_line(result.manifest.run), style="bold")
    if result.timing is None:
        return Group(name, Text("its bundle does not say where the time went"), Text())
    return Group(name + Text(f"  {result.timing.seconds:.2f} s", style="bold"), Bars(result.timing), Text())


def totals(session: Session) -> RenderableType:
    """Seconds and share of the workers' time by span name, and what of it was no guest work."""
    told = spent(session)
    grid = Grid(box=SIMPLE_HEAD, padding=(0, 1))
    grid.add_column("where the time went")
    grid.add_column("seconds", justify="right")
    grid.add_column("share", justify="right")
    grid.add_column("")
    for name, seconds in told.by_name.items():
        if seconds < LEAST * told.total:
            continue
        share = seconds / told.total if told.total else 0.0
        grid.add_row(
            Text(one_line(name)), f"{seconds:.2f}", f"{share:.1%}", "guest work" if name in told.working else ""
        )
    workers = f"{session.pairs} worker{'s' * (session.pairs != 1)} x {session.seconds:.1f} s"
    outside = f"{told.overhead:.1%} outside guest work" if told.working else "no bundle says what of it was guest work"
    return Group(grid, Text(f"{workers}: {outside}"))


class Bars:
    """A waterfall in a terminal, as wide as there is room."""

    def __init__(self, timing: Timing) -> None:
        self._fall = waterfall(timing)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(options.max_width - LABEL - 10, 10)
        for row in self._fall.rows:
            label = f"{'  ' * row.depth}{row.label}"
            label = label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"
            yield Text.assemble(
                f"{label:{LABEL}} {row.seconds:6.2f} s ",
                (self._bar(row, room), "green" if row.kind == "work" else "yellow"),
                no_wrap=True,
            )
        if self._fall.left_out:
            seconds = sum(row.seconds for row in self._fall.left_out)
            yield Text(f"{f'{len(self._fall.left_out)} shorter':{LABEL}} {seconds:6.2f} s", style="dim")

    def _bar(self, row: Row, room: int) -> str:
        """Blocks for what the case asks, shade for the rest: the colour only repeats it."""
        scale = room / self._fall.length
        start = min(int((row.began - self._fall.began) * scale), room - 1)
        end = max(round((row.ended - self._fall.began) * scale), start + 1)
        return " " * start + ("█" if row.kind == "work" else "▒") * (end - start)
