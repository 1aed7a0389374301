# SPDX-License-Identifier: GPL-2.0-only
"""What a terminal shows: rich renderables. Colour only repeats what the words say; 80 columns are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from lab.report.bars import Bars
from lab.report.matrix import Cell, Surprise, Table, arrange
from lab.report.model import RunResult, Session
from lab.report.wording import (
    WORST_FIRST,
    accelerators,
    cell_words,
    known_lines,
    ledger_rows,
    one_line,
    oom_sentence,
    prediction,
    printable,
    sentence,
    summary,
    worst_first,
)
from lab.verdict.model import Finding, Word

MOST_PARTS = 50
"""Parts of one case that are shown."""

STYLES = {
    Word.FAIL: "bold red",
    Word.ERROR: "bold yellow",
    Word.MISS: "bold magenta",
    Word.PASS: "green",
    Word.DONE: "cyan",
    Word.SKIP: "dim",
}


def overview(session: Session) -> RenderableType:
    """The verdict table, what is not as predicted, and the summary."""
    matrix = arrange(session.results)
    parts: list[RenderableType] = [VerdictTable(t) for t in matrix.tables()] if session.results else []
    wrong = matrix.surprises()
    if wrong:
        parts.append(Text("Not as predicted:", style="bold"))
        parts += [Padding(_disagreement(surprise), (0, 0, 0, 2)) for surprise in wrong]
    if excused := known_lines(session):
        parts += [Text("Known issues:", style="bold"), *(Padding(Text(line), (0, 0, 0, 2)) for line in excused)]
    return Group(*parts, Text(summary(session)), *map(Text, accelerators(session)))


def show(result: RunResult) -> RenderableType:
    """One run: verdict, ledger, findings, versions, and how to repeat it."""
    return Group(
        _headline(result),
        *_measured(result),
        *_parts(result),
        _heading("Findings"),
        *(_finding(f) for f in worst_first(result.verdict.findings)),
        *_timing(result),
        _heading("Versions"),
        _versions(result),
        _heading("Files"),
        _verbatim(result.bundle),
        _heading("Reproduce"),
        _verbatim(result.manifest.reproduce),
    )


def _measured(result: RunResult) -> list[RenderableType]:
    """The ledger, where there is a client."""
    if not result.verdict.ledger.client:
        return []
    return [_heading("Ledger, when the client held most"), _ledger(result)]


def _parts(result: RunResult) -> list[RenderableType]:
    """What the case says of its parts, the worst first."""
    parts = sorted(result.verdict.parts, key=lambda part: WORST_FIRST.index(part.word))
    shown = [
        Padding(_word(part.word) + Text(f" {one_line(part.name)}: {one_line(part.reason)}"), (0, 0, 0, 2))
        for part in parts[:MOST_PARTS]
    ]
    if len(parts) > MOST_PARTS:
        shown.append(Padding(Text(f"and {len(parts) - MOST_PARTS} more"), (0, 0, 0, 2)))
    return [_heading("Parts"), *shown] if shown else []


class VerdictTable:
    """Cases down, kernels and NICs across; split into several tables where the terminal is narrow."""

    def __init__(self, table: Table) -> None:
        self._table = table
        groups = [one_line(name) for name, columns in table.heads for _ in range(columns)]
        self._heads = [f"{group}\n{one_line(label)}" for group, label in zip(groups, table.labels, strict=True)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for columns in self._groups(options.max_width):
            yield self._grid(columns)

    def _groups(self, width: int) -> Iterator[list[int]]:
        """Numbers of the columns that fit beside each other."""
        # Every column costs its text, a blank on each side and a line.
        first = max(len(one_line(row.case)) for row in self._table.rows) + 4
        group: list[int] = []
        used = first
        for index in range(len(self._heads)):
            need = self._width(index) + 3
            if group and used + need > width:
                yield group
                group, used = [], first
            group.append(index)
            used += need
        yield group

    def _width(self, index: int) -> int:
        texts = self._heads[index].splitlines()
        texts += [line for row in self._table.rows for line in _cell(row.cells[index]).plain.splitlines()]
        return max(len(text) for text in texts)

    def _grid(self, indices: Sequence[int]) -> Grid:
        grid = Grid(box=SIMPLE_HEAD, padding=(0, 1))
        grid.add_column("case", overflow="fold")
        for index in indices:
            grid.add_column(Text(self._heads[index]), overflow="fold")
        for row in self._table.rows:
            grid.add_row(Text(one_line(row.case)), *(_cell(row.cells[index]) for index in indices))
        return grid


def _cell(cell: Cell) -> Text:
    """Words and figure of the runs, and the predicted word where it is another one, or open."""
    if not cell.runs:
        return Text("not run", style="dim")
    if cell.not_applicable:
        return Text("n/a", style="dim")
    told = Text(cell_words(cell.words), style=STYLES[cell.telling.verdict.word])
    if cell.figure:
        told += Text(f" {cell.figure}")
    if cell.is_open:
        told += Text(" (open)", style="dim")
    if cell.not_measured:
        told += Text("\n(not measured)", style="dim")
    if cell.disagreeing:
        fault = any(run.verdict.kernel_fault for run in cell.disagreeing)
        what = "! a fault" if fault else f"! not {one_line(' or '.join(cell.predicted))}"
        told += Text(f"\n{what}", style="bold")
    return told


def _word(word: Word) -> Text:
    return Text(word.value, style=STYLES[word])


def _timing(result: RunResult) -> list[RenderableType]:
    return [_heading("Where the time went"), Bars(result.timing)] if result.timing else []


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _disagreement(surprise: Surprise) -> Text:
    run = surprise.first
    times = f" ({len(surprise.runs)} of {surprise.of} runs)" if surprise.of > 1 else ""
    told = f" {one_line(run.manifest.run)}, predicted {one_line(run.instead_of)}{times}"
    known = "".join(f"\n  known: {one_line(issue)}" for issue in run.known)
    return _word(run.verdict.word) + Text(f"{told}\n  {one_line(sentence(run))}{known}")


def _headline(result: RunResult) -> Text:
    manifest, oom = result.manifest, result.verdict.oom
    victims = f" Killed: {', '.join(map(one_line, oom.victims))}" if oom.victims else ""
    return Text.assemble(
        _word(result.verdict.word),
        f" {one_line(manifest.run)}: {prediction(result)}\n",
        f"case {one_line(manifest.case)}, kernel {one_line(manifest.kernel.name)}, NIC {one_line(manifest.nic)}\n",
        f"{oom_sentence(oom)}{victims}",
    )


def _ledger(result: RunResult) -> RenderableType:
    table = Grid(box=None, show_header=False, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for name, value, meaning in ledger_rows(result.verdict.ledger):
        table.add_row(name, value, meaning)
    if result.verdict.ledger.last is None:
        return Group(Padding("The ledger has no line: nothing was measured.", (0, 2)), table)
    return table


def _finding(finding: Finding) -> RenderableType:
    head = Text.assemble(_word(finding.word), f" {one_line(finding.rule)}: {printable(finding.message)}")
    return Padding(Group(head, _verbatim(finding.pointer)), (0, 0, 0, 2))


def _versions(result: RunResult) -> RenderableType:
    manifest = result.manifest
    kernel, host = manifest.kernel, manifest.host
    rows = (
        ("kernel", f"{kernel.release} ({kernel.design}), sha256 {kernel.sha256}"),
        ("image", f"sha256 {host.image_sha256}"),
        *([("programs", f"{manifest.layer}, sha256 {manifest.layer_sha256}")] if manifest.layer else []),
        ("QEMU", f"{host.qemu} ({host.accelerator}) on {host.machine}, libvirt {host.libvirt}"),
        *([("accelerator", host.accelerator_why)] if host.accelerator_why else []),
        ("lab", f"{manifest.lab_version}, started {manifest.started}"),
    )
    table = Grid(box=None, show_header=False, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(one_line(value)))
    return table


def _verbatim(text: str) -> RenderableType:
    """Text to be copied."""
    return Padding(Text(one_line(text), overflow="fold", style="cyan"), (0, 0, 0, 2))
