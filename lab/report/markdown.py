# SPDX-License-Identifier: GPL-2.0-only
"""The verdict tables as Markdown, to be pasted into a document or a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.report.matrix import Cell, Surprise, Table, arrange
from lab.report.model import Session
from lab.report.wording import accelerators, cell_words, known_lines, one_line, sentence, summary

NOTE = (
    "A cell holds what was measured, the bytes that escaped the charge where the case is about them, and in brackets "
    "what was predicted; bold where the two differ."
)


def render(session: Session) -> str:
    """The whole session: what is not as predicted, then the tables."""
    matrix = arrange(session.results)
    lines = [f"# {_plain(session.name)}", "", summary(session), ""]
    for line in accelerators(session):
        lines += [_plain(line), ""]
    surprises = matrix.surprises()
    if surprises:
        lines += ["## Not as predicted", "", *map(_surprise, surprises), ""]
    if excused := known_lines(session):
        lines += ["## Known issues", "", *(f"- {_plain(line)}" for line in excused), ""]
    if session.results:
        lines += ["## Verdicts", "", NOTE, ""]
    for table in matrix.tables() if session.results else ():
        lines += [*_table(table), ""]
    return "\n".join(lines)


def _surprise(surprise: Surprise) -> str:
    run, column = surprise.first, surprise.column
    times = f" in {len(surprise.runs)} of {surprise.of} runs" if surprise.of > 1 else ""
    where = f"- **{_plain(surprise.case)}** on {_plain(column.kernel)}, {_plain(column.nic)}"
    known = "".join(f" Known: {_plain(issue)}" for issue in run.known)
    return (
        f"{where}: {run.verdict.word.value}{times}, predicted {_plain(run.instead_of)}. {_plain(sentence(run))}{known}"
    )


def _table(table: Table) -> Iterator[str]:
    if table.by_nic:
        yield f"### {_plain(table.heads[0][0])}"
        yield ""
        heads = list(table.labels)
    else:
        outer = [name for name, columns in table.heads for _ in range(columns)]
        heads = [f"{kernel}, {nic}" for kernel, nic in zip(outer, table.labels, strict=True)]
    yield _line(["case", *map(_plain, heads)])
    yield _line(["---"] * (len(heads) + 1))
    for row in table.rows:
        yield _line([f"`{_plain(row.case)}`", *map(_cell, row.cells)])


def _cell(cell: Cell) -> str:
    if not cell.runs:
        return "not run"
    if cell.not_applicable:
        return "n/a"
    words = " ".join([cell_words(cell.words), *([_plain(cell.figure)] if cell.figure else [])])
    told = f"**{words}**" if cell.disagreeing else words
    trouble = " not measured" if cell.not_measured else ""
    return f"{told}{trouble} ({_plain(' or '.join(cell.predicted))})"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", one_line(text)).replace(r"\_", "_")
