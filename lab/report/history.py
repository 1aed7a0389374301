# SPDX-License-Identifier: GPL-2.0-only
"""The words of a case over time as a picture: a row for each cell, a mark for each run."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping, Sequence

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from lab.text.words import one_line, titled

Point = tuple[str, str, float | None]
"""When a run began (ISO 8601), its word, and its escape in MiB."""

MARKS = {
    "PASS": ("o", "#2e7d32"),
    "FAIL": ("X", "#c62828"),
    "ERROR": ("s", "#ef6c00"),
    "MISS": ("v", "#6d4c41"),
    "DONE": ("o", "#1565c0"),
    "SKIP": (".", "#757575"),
}
"""By shape as well as by colour."""


def drawn(case: str, cells: Mapping[str, Sequence[Point]]) -> str:
    """An SVG: above a row of marks for each cell, below their escapes where there are any."""
    numbers = any(escape is not None for points in cells.values() for _, _, escape in points)
    figure = Figure(figsize=(9, 1.6 + 0.35 * len(cells) + (2.4 if numbers else 0)), layout="constrained")
    above = figure.add_subplot(2 if numbers else 1, 1, 1)
    below = figure.add_subplot(2, 1, 2, sharex=above) if numbers else None
    for row, points in enumerate(cells.values()):
        for word, (mark, colour) in MARKS.items():
            dated = [(day, escape) for t, w, escape in points if w == word and (day := _day(t))]
            if dated:
                days = [day for day, _ in dated]
                above.plot(days, [row] * len(days), mark, color=colour, label=word, markersize=6)  # type: ignore[arg-type]
        if below is not None:
            told = [(day, escape) for t, _, escape in points if escape is not None and (day := _day(t))]
            below.plot([day for day, _ in told], [e for _, e in told], ".-", linewidth=0.8)  # type: ignore[arg-type]
    above.set_yticks(range(len(cells)), [one_line(cell, 80) for cell in cells])
    above.set_ylim(len(cells) - 0.5, -0.5)
    above.set_title(titled(case))
    seen = dict(zip(*reversed(above.get_legend_handles_labels()), strict=True))
    above.legend(seen.values(), seen.keys(), loc="upper left", bbox_to_anchor=(1, 1))
    if below is not None:
        below.set_ylabel("escape, MiB")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    above.xaxis.set_major_locator(locator)
    above.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _day(started: str) -> datetime.datetime | None:
    try:
        told = datetime.datetime.fromisoformat(started)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=datetime.UTC)
