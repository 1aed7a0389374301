# SPDX-License-Identifier: GPL-2.0-only
"""The waterfall of a run: one bar for each span, in the order in which they began, as rows and as SVG.

Every part of the SVG has a class, and templates/waterfall.css gives the classes their colours, for light and dark.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lab.evidence.timing import Span, Timing
from lab.report.plot import SVG
from lab.report.spent import STEPS
from lab.report.wording import one_line

KINDS = {"work": "guest work", "step": "other time of the run", "pair": "its pair is made"}
SHORTEST = 0.004
"""A span that takes less of the axis than this share is not drawn, but counted."""
BAR = 16  # height of a row, in user units of the SVG
WIDTH, LEFT, RIGHT = 600, 190, 46


@dataclass(frozen=True)
class Row:
    """One bar: seconds from the start of the run. `kind` is one of KINDS."""

    label: str
    kind: str
    depth: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Waterfall:
    """The rows of a run on an axis from `began` (0, or earlier where its pair was made ahead) to `ended`, its end."""

    began: float
    ended: float
    rows: tuple[Row, ...]
    left_out: tuple[Row, ...]

    @property
    def length(self) -> float:
        return max(self.ended - self.began, 1e-9)


def waterfall(timing: Timing) -> Waterfall:
    """The spans long enough to be seen as rows, and those that are not."""
    began = min((0.0, *(span.began for span in timing.spans)))
    limit = SHORTEST * (timing.seconds - began)
    rows = [_row(span, depth) for span, depth in zip(timing.spans, _depths(timing.spans), strict=True)]
    seen = tuple(row for row in rows if row.seconds >= limit)
    return Waterfall(began, timing.seconds, seen, tuple(row for row in rows if row.seconds < limit))


def _row(span: Span, depth: int) -> Row:
    where = "" if span.lane in ("case", "pair") else f" {span.lane}"
    kind = "pair" if span.lane not in STEPS else "work" if span.work else "step"
    return Row(one_line(f"{span.name}{where} {span.detail}"), kind, depth, span.began, span.ended)


def _depths(spans: Sequence[Span]) -> list[int]:
    """In how many steps of the run each span lies; of two that cover the same time, neither lies in the other."""
    steps = [span for span in spans if span.lane in STEPS]
    same = Counter((step.began, step.ended) for step in steps)
    to_come = sorted(steps, key=lambda step: step.began, reverse=True)
    ends: list[float] = []  # of the steps that have begun, in order
    depths = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda i: spans[i].began):
        span = spans[place]
        while to_come and to_come[-1].began <= span.began:
            insort(ends, to_come.pop().ended)
        around = len(ends) - bisect_left(ends, span.ended)
        depths[place] = around - same[span.began, span.ended]
    return depths


def svg(timing: Timing, prefix: str, title: str) -> str:
    """An SVG element to stand in an HTML page, which brings the colours. `prefix` starts its ids."""
    fall = waterfall(timing)
    height = BAR * (len(fall.rows) + 1) + 8
    ET.register_namespace("", SVG)
    root = ET.Element(f"{{{SVG}}}svg", {"class": "waterfall", "viewBox": f"0 0 {WIDTH} {height}", "role": "img"})
    root.set("aria-labelledby", f"{prefix}title {prefix}desc")
    _text(root, "title", title, id=f"{prefix}title")
    _text(root, "desc", _told(fall), id=f"{prefix}desc")
    scale = (WIDTH - LEFT - RIGHT) / fall.length
    _axis(root, fall, scale, height)
    for number, row in enumerate(fall.rows):
        x, y = LEFT + (row.began - fall.began) * scale, number * BAR
        width = max(row.seconds * scale, 1.0)
        bar = {"x": f"{x:.1f}", "y": str(y + 2), "width": f"{width:.1f}", "height": str(BAR - 4), "class": row.kind}
        ET.SubElement(root, f"{{{SVG}}}rect", bar)
        _text(root, "text", row.label, x=str(8 * row.depth), y=str(y + 12))
        _text(root, "text", f"{row.seconds:.2f}", x=f"{min(x + width + 3, WIDTH - RIGHT + 3):.1f}", y=str(y + 12))
    return ET.tostring(root, encoding="unicode")


def _axis(root: ET.Element, fall: Waterfall, scale: float, height: int) -> None:
    """Begin and end of the run, in seconds."""
    marks = [(0.0, "0 s"), (fall.ended, f"{fall.ended:.1f} s")]
    for moment, label in ([(fall.began, f"{fall.began:.1f} s")] if fall.began < 0 else []) + marks:
        x = f"{LEFT + (moment - fall.began) * scale:.1f}"
        ET.SubElement(root, f"{{{SVG}}}path", {"class": "axis", "d": f"M{x} 0V{height - BAR}"})
        _text(root, "text", label, x=x, y=str(height - 4), **{"class": "moment"})


def _told(fall: Waterfall) -> str:
    longest = sorted(fall.rows, key=lambda row: -row.seconds)[:5]
    return f"The run took {fall.ended:.1f} s. Longest: " + ", ".join(f"{r.label} {r.seconds:.2f} s" for r in longest)


def _text(root: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(root, f"{{{SVG}}}{tag}", attributes).text = one_line(text)
