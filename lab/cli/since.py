# SPDX-License-Identifier: GPL-2.0-only
"""`lab since`: a table of what the packaged kernels said, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.archive import AsJson, asked
from lab.cli.listing import print_json_lines
from lab.cli.options import ResultsFolder
from lab.errors import BadInput
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.archive.since import Table


def since(
    cases: Annotated[
        list[str] | None, typer.Argument(help="Only these cases.", metavar="[CASE]...", autocompletion=complete.cases)
    ] = None,
    nic: Annotated[str, typer.Option("--nic", help="On this NIC profile.", autocompletion=complete.nics)] = "",
    results: ResultsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show since which line of kernels a case says what it says: lines as columns, what changed on top.

    Of every run on a packaged kernel that the archive knows the newest counts. `lab run --suite history` makes all of
    them. What is printed is Markdown.
    """
    found = asked(results, lambda index: _table(index, tuple(cases or ()), nic))
    if not found.rows:
        raise BadInput(["there are no such runs on packaged kernels"], hint="lab run --suite history")
    if as_json:
        print_json_lines(
            {"case": case, "nic": on, "line": line, "word": cell.word, "escape": cell.escaped, "release": cell.release}
            for (case, on), cells in found.rows
            for line, cell in zip(found.lines, cells, strict=True)
            if cell
        )
        return
    from lab.archive.since import markdown

    say(markdown(found).rstrip("\n"))


def _table(index: Index, cases: tuple[str, ...], nic: str) -> Table:
    from lab.archive.rows import KernelRow, RunRow
    from lab.archive.since import table
    from lab.experiments.found import all_cases

    known = all_cases()

    def escapes(case: str) -> bool:
        return case not in known or known[case].escapes

    runs = [run for run in index.take(RunRow) if (not cases or run.case_name in cases) and (not nic or run.nic == nic)]
    return table(runs, index.take(KernelRow), order=tuple(known), escapes=escapes)
