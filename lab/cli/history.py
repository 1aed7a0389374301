# SPDX-License-Identifier: GPL-2.0-only
"""`lab history`: a case over time."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import complete
from lab.cli.archive import AsJson, asked
from lab.cli.listing import percent, print_entries, print_json_lines
from lab.cli.options import ResultsFolder
from lab.errors import BadInput
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.archive.rows import RunRow

Cells = dict[str, list["RunRow"]]


def history(
    case: Annotated[str, typer.Argument(help="A case, or a selftest.", autocompletion=complete.cases)],
    nic: Annotated[str, typer.Option("--nic", help="On this NIC profile.", autocompletion=complete.nics)] = "",
    kernel: Annotated[
        str, typer.Option("--kernel", "-k", help="Of this kernel, or line of kernels.", autocompletion=complete.kernels)
    ] = "",
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw it as well, into this SVG file.")] = None,
    results: ResultsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what a case said over time, how often it fails, and whether it is flaky.

    A letter for each run, the oldest first: PASS, FAIL, ERROR, MISS, SKIP, DONE.
    """

    def ask(index: Index) -> Cells:
        from lab.archive.select import cells

        return cells(index, case, nic, kernel)

    found = asked(results, ask)
    if not found:
        wanted = " ".join(word for word in (case, nic, kernel) if word)
        raise BadInput([f"there are no runs of {wanted}"], hint="lab archive list")
    if picture is not None:
        from lab.report.history import drawn

        picture.write_text(drawn(case, {cell: [_point(run) for run in runs] for cell, runs in found.items()}))
    if as_json:
        print_json_lines(_record(run) for runs in found.values() for run in runs)
        return
    print_entries((cell, _lines(runs)) for cell, runs in found.items())
    if picture is not None:
        say(picture)


def _lines(runs: list[RunRow]) -> list[str]:
    from lab.archive.compare import SPEAK, Tally, outcome
    from lab.report.wording import count
    from lab.stats.flaky import is_flaky

    tally = Tally.of(runs)
    flaky = is_flaky([outcome(run) for run in runs if run.word in SPEAK])
    rate = f"{tally} failed, {percent(*tally.interval)} with 95 %" if tally.runs else "no run gave a verdict"
    stretches = [(word, list(same)) for word, same in groupby(runs, lambda run: run.word)]
    told = [
        f"{same[0].started[:10]} {word}{f' x{len(same)}' if len(same) > 1 else ''} {same[-1].why}".strip()
        for word, same in stretches[-5:]
    ]
    days = f"{runs[0].started[:10]} to {runs[-1].started[:10]}"
    return [
        _letters(runs),
        f"{count(len(runs), 'run')}, {days}; {rate}{'; flaky' if flaky else ''}",
        *told,
    ]


def _letters(runs: list[RunRow]) -> str:
    """The last 200 words, ten and ten."""
    letters = "".join(run.word[:1] for run in runs[-200:])
    return " ".join(letters[at : at + 10] for at in range(0, len(letters), 10))


def _record(run: RunRow) -> dict[str, Any]:
    from lab.archive.rows import as_values

    return as_values(run)


def _point(run: RunRow) -> tuple[str, str, float | None]:
    return run.started, run.word, None if run.escaped is None else run.escaped / 2**20
