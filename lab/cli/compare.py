# SPDX-License-Identifier: GPL-2.0-only
"""`lab compare`: what is new, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import complete
from lab.cli.archive import AsJson, asked
from lab.cli.exits import AS_PREDICTED, OTHER_VERDICT
from lab.cli.listing import print_entries, print_json_lines
from lab.cli.options import Known, ResultsFolder
from lab.errors import BadInput
from lab.text.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

    from lab.archive.compare import Change
    from lab.archive.index import Index
    from lab.archive.select import Side

Sides = tuple["Side", "Side", list["Change"]]


def compare(
    sides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A B]",
            help="A session, a kernel or its line, or days (2026-11-20..2026-11-26), twice.",
            autocompletion=complete.runs_and_sessions,
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, max=10_000, help="The newest session against so many before it.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Cells of which nothing is new as well.")] = False,
    known: Known = None,
    results: ResultsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of runs, cell by cell.

    Without A and B: the newest session against the one before it.

    Exit code: [bold]0[/bold] nothing got worse, [bold]1[/bold] a new fail, a cell that is gone or gives no
    verdict any more, a number that moved, or a cell that is flaky now and was not.
    What is a known issue is shown as known, and is none of these.
    """
    named = tuple(sides or ())
    if len(named) not in (0, 2) or (named and last is not None):
        raise BadInput(["give two sides, or --last N, or nothing"], hint="lab compare 6.12 7.3; lab compare --last 10")
    from lab.archive.known import use_known

    use_known(known)
    before, after, changes = asked(results, lambda index, root: _compared(index, root, named, last or 1))
    from lab.archive.compare import Kind

    shown = [change for change in changes if everything or change.kind is not Kind.SAME]
    if as_json:
        print_json_lines(_record(change) for change in shown)
    else:
        say(f"before: {before.called}, {_count(before)}; after: {after.called}, {_count(after)}")
        print_entries((f"known: {c.kind}" if c.known else str(c.kind), _lines(c)) for c in shown)
        same = sum(change.kind is Kind.SAME for change in changes)
        say(f"{same} of {len(changes)} cells say what they said")
    raise typer.Exit(OTHER_VERDICT if any(change.is_news for change in changes) else AS_PREDICTED)


def _compared(index: Index, root: Path, named: tuple[str, ...], last: int) -> Sides:
    from lab.archive import select
    from lab.archive.compare import compare as compared
    from lab.archive.known import excuse

    before, after = [select.side(index, name) for name in named] if named else select.last(index, last)
    found = compared(before.runs, after.runs, lambda cell, before: select.history(index, cell, before), select.escapes)
    return before, after, [excuse(index, root, change, after.runs) for change in found]


def _count(side: Side) -> str:
    from lab.report.wording import count

    return count(len(side.runs), "run")


def _lines(change: Change) -> list[str]:
    """The cell, both sides as failures of runs, and the evidence."""
    from lab.archive.compare import Kind
    from lab.report.wording import count

    lines = [change.cell, f"{change.before} before, {change.after} after"]
    if change.number is not None:
        name, number = change.number
        show = _size if name == "escape" else _plain
        lines.append(
            f"{name} {show(number.now)}, was {show(number.then)}; expected {show(number.low)} to {show(number.high)}"
        )
    if change.kind in (Kind.NEW_FAIL, Kind.FIXED) and change.likely is not None:
        sure = f"; {count(change.needed, 'more run')} would make it sure" if change.needed else ""
        lines.append(f"by chance: {change.likely:.1%}{sure}")
    if change.witness is not None and change.kind is not Kind.SAME:
        run = change.witness
        lines += [f"{run.word} {run.why}".strip(), f"{run.session}/{run.run}"]
        lines += [f"known: {issue}" for issue in change.known]
        lines += [run.reproduce] if change.kind in (Kind.NEW_FAIL, Kind.NO_VERDICT, Kind.MOVED) else []
    return lines


def _size(value: float) -> str:
    from lab.report.wording import size

    return size(round(value))


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _record(change: Change) -> dict[str, Any]:
    from dataclasses import asdict

    number = change.number
    return {
        "cell": change.cell,
        "change": str(change.kind),
        "before": asdict(change.before),
        "after": asdict(change.after),
        "is_news": change.is_news,
        "known": list(change.known),
        "likely": change.likely,
        "needed": change.needed,
        "number": {"name": number[0], **asdict(number[1])} if number else None,
        "run": change.witness.run if change.witness else None,
        "session": change.witness.session if change.witness else None,
        "word": change.witness.word if change.witness else None,
        "why": change.witness.why if change.witness else None,
        "reproduce": change.witness.reproduce if change.witness else None,
    }
