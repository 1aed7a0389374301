# SPDX-License-Identifier: GPL-2.0-only
"""Lists for people, readable at 80 columns, and the same for scripts: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from lab.text.terminal import Console, say


def print_json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        say(json.dumps(row))


def print_entries(entries: Iterable[tuple[str, Sequence[str | Text]]]) -> None:
    """A name on the left; on the right its lines, wrapped. A line that is empty is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, lines in entries:
        texts = [line if isinstance(line, Text) else Text(line) for line in lines]
        table.add_row(Text(name), Text("\n").join([text for text in texts if text.plain]))
    Console().print(table)


def percent(low: float, high: float) -> str:
    """`47..60 %`, `0 %`: shares of 1 as a range."""
    first, last = f"{low * 100:.0f}", f"{high * 100:.0f}"
    return f"{first} %" if first == last else f"{first}..{last} %"
