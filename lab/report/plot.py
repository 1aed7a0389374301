# SPDX-License-Identifier: GPL-2.0-only
"""The curve of a ledger over time, as SVG text.

Every part is a group with a class (`held`, `charged`, ...), and templates/curve.css gives the classes their colours,
for light and dark. No id survives but those of clip paths, which get a prefix, so many curves can stand in one page.
matplotlib is imported when the first curve is drawn: most commands draw none.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lab.evidence.model import Ledger, LedgerPoint
from lab.report.wording import one_line, size
from lab.units import MIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch

MAX_POINTS = 400
MAX_MARKS = 12
WIDTH, HEIGHT = 600, 300  # user units of the SVG, which matplotlib calls points
LEFT, RIGHT, TOP, BOTTOM = 50, 46, 42, 40
ROW = 16  # height of a line of the standalone key
APART = 26  # between the middles of two marks' numbers: on a phone two digits are 22 wide
LEAD = 14  # from a mark's line to its number

INK = "#20262c"

OWN = "curve-"
"""What all ids of a standalone picture begin with."""

STAMP = "data-drawn-from"
DRAWING = 3
"""To be raised when a ledger is drawn in another way: older pictures are not taken for one of today's then."""

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


@dataclass(frozen=True)
class Series:
    """One line of the picture. `meaning` goes into the key; `dashes` in points, None for a solid line.

    kind  its class, where that is not its name
    """

    name: str
    meaning: str
    width: float
    dashes: tuple[float, ...] | None
    colour: str
    kind: str = ""

    @property
    def css(self) -> str:
        return self.kind or self.name

    def value(self, point: LedgerPoint) -> int:
        """Bytes at a moment."""
        return point.counts[self.name] if self.kind else getattr(point, self.name)


OWN_LINES: tuple[tuple[str, tuple[float, ...], str], ...] = (
    ("line-1", (1.0, 2.0), "#6b7480"),
    ("line-2", (6.0, 2.0, 1.0, 2.0), "#0b7285"),
)
"""Class, dashes and colour of the lines that an experiment shows of its clients' numbers."""

SERIES = (
    Series("gone", "free memory lost", 1.6, (5.0, 2.5), "#7048a8"),
    Series("held", "kept by the client", 2.4, None, "#b3400f"),
    Series("charged", "growth of memory.current", 2.4, None, "#1b5fb4"),
)


def series_of(ledger: Ledger) -> tuple[Series, ...]:
    """All lines in the order in which they are drawn: the two that a verdict compares come last, on top. Dashes tell
    them apart without colour."""
    drawn = [line for line in ledger.lines if line.drawn]
    own = (
        Series(line.name, line.meaning, 1.4, dashes, colour, kind)
        for line, (kind, dashes, colour) in zip(drawn, OWN_LINES, strict=False)
    )
    return (*own, *SERIES)


CLASSES = frozenset(
    {
        *(s.name for s in SERIES),
        *(kind for kind, _, _ in OWN_LINES),
        "escape",
        "limit",
        "grid",
        "axis",
        "mark",
        "oom",
        "key",
    }
)


@dataclass(frozen=True)
class Mark:
    """A moment on the time axis, in seconds from the first point; `number` as drawn, from 1."""

    number: int
    t: float
    text: str
    oom: bool


def marks_of(ledger: Ledger) -> tuple[Mark, ...]:
    """The marks that are drawn, numbered by time."""
    start = _start(ledger)
    kept = sorted(ledger.marks)[:MAX_MARKS]
    return tuple(Mark(i, t - start, one_line(text), "oom" in text.lower()) for i, (t, text) in enumerate(kept, 1))


def curve(ledger: Ledger, prefix: str, title: str, drawn: str = "") -> str:
    """An SVG element to stand in an HTML page, which brings the colours and the key. `prefix` starts all its ids.

    drawn  what `standalone` once returned, in this process; it is taken when it was drawn from this ledger
    """
    root = _drawn(ledger, drawn)
    if root is None:
        root = _standalone(ledger, title)
    for element in root.iter():
        for child in list(element):
            if child.get("class") == "key" or child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}title", f"{{{SVG}}}desc"):
                element.remove(child)
        _rename(element, {element.get("id", "")}, prefix, OWN)
    for attribute in ("width", "height", STAMP):
        root.attrib.pop(attribute, None)
    root.set("viewBox", f"0 0 {WIDTH} {HEIGHT}")
    _describe(root, ledger, prefix, title)
    return ET.tostring(root, encoding="unicode")


def prepare() -> None:
    """Import what draws, 0.6 s, before there is anything to draw."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401


def standalone(ledger: Ledger, title: str) -> str:
    """An SVG document with its own colours and key, for the bundle's curve.svg."""
    text = ET.tostring(_standalone(ledger, title), encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _standalone(ledger: Ledger, title: str) -> ET.Element:
    root = _tidy(_draw(ledger), OWN)
    _describe(root, ledger, OWN, title)
    style = ET.Element(f"{{{SVG}}}style")
    style.text = files("lab.report").joinpath("templates/curve.css").read_text("utf-8")
    root.insert(0, style)
    root.set(STAMP, _stamp(ledger))
    return root


def _stamp(ledger: Ledger) -> str:
    return hashlib.sha256(f"{DRAWING} {ledger!r}".encode()).hexdigest()


def _drawn(ledger: Ledger, drawn: str) -> ET.Element | None:
    """The picture, if it is one of this ledger: to draw it anew takes a hundred times as long."""
    if STAMP not in drawn:
        return None
    with contextlib.suppress(ET.ParseError):
        root = ET.fromstring(drawn)  # noqa: S314 - our own, of this process
        return root if root.get(STAMP) == _stamp(ledger) else None
    return None


def thin(points: Sequence[LedgerPoint], peak: LedgerPoint | None = None) -> list[LedgerPoint]:
    """At most MAX_POINTS of the points, in order, with the first, the last and the peak among them."""
    if len(points) <= MAX_POINTS:
        return list(points)
    room = MAX_POINTS - 1
    chosen = {round(i * (len(points) - 1) / (room - 1)) for i in range(room)}
    if peak in points:
        chosen.add(points.index(peak))
    return [points[i] for i in sorted(chosen)]


def _start(ledger: Ledger) -> float:
    return ledger.points[0].t if ledger.points else min((t for t, _ in ledger.marks), default=0.0)


def _draw(ledger: Ledger) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    marks = marks_of(ledger)
    below = ROW * (2 + len(marks))
    height = HEIGHT + below
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "lab", "font.size": 11.0, "font.sans-serif": ["DejaVu Sans"]}
    ):
        figure = Figure(figsize=(WIDTH / 72, height / 72), facecolor="none")
        box = (LEFT / WIDTH, (BOTTOM + below) / height, 1 - (LEFT + RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / height)
        axes = figure.add_axes(box, facecolor="none")
        _lines(axes, ledger)
        _frame(axes, ledger)
        _marks(axes, marks)
        _key(figure, series_of(ledger), marks, height)
        out = StringIO()
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return out.getvalue()


def _lines(axes: Axes, ledger: Ledger) -> None:
    points = thin(ledger.points, ledger.last)
    if not points:
        axes.text(0.5, 0.5, "no ledger points", transform=axes.transAxes, ha="center")
        return
    start = points[0].t
    times = [p.t - start for p in points]
    held = [p.held / MIB for p in points]
    charged = [p.charged / MIB for p in points]
    under = [min(pair) for pair in zip(held, charged, strict=True)]
    axes.fill(times + times[::-1], held + under[::-1], gid="escape", facecolor="#b3400f", alpha=0.12, linewidth=0)
    for series in series_of(ledger):
        style: str | tuple[float, tuple[float, ...]] = (0, series.dashes) if series.dashes else "-"
        axes.plot(
            times,
            [series.value(p) / MIB for p in points],
            gid=series.css,
            label=series.name,
            color=series.colour,
            linewidth=series.width,
            linestyle=style,
            marker="o" if len(points) < 3 else "",  # a line through one point cannot be seen
        )
    if ledger.limit is not None:
        axes.axhline(ledger.limit / MIB, gid="limit", color=INK, linewidth=1.2, linestyle=(0, (8, 3)))
        # Outside of the axes, where no line can cross it.
        axes.text(1.01, ledger.limit / MIB, "limit", transform=axes.get_yaxis_transform(), verticalalignment="center")


def _frame(axes: Axes, ledger: Ledger) -> None:
    from matplotlib.ticker import MaxNLocator

    highest = max((max(*p.counts.values(), p.held, p.charged, p.gone) for p in ledger.points), default=0)
    lowest = min((min(p.charged, p.gone) for p in ledger.points), default=0)
    top = max(highest, ledger.limit or 0, MIB) / MIB
    axes.set_ylim(min(0.0, lowest / MIB) * 1.05, top * 1.08)
    step = 1
    while top / step > 6:
        step *= 2
    axes.set_yticks(range(0, int(top * 1.08) + 1, step))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    moments = [p.t - _start(ledger) for p in ledger.points] + [m.t for m in marks_of(ledger)] + [0.0]
    axes.set_xlim(min(moments), max(max(moments) * 1.01, 0.1))
    axes.tick_params(length=0, pad=5)
    axes.grid(axis="y", color="#c9cfd6", linewidth=0.8)
    axes.set_axisbelow(True)
    for line in axes.yaxis.get_gridlines():
        line.set_gid("grid")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_gid("axis")
    axes.set_xlabel("seconds", loc="right", labelpad=6)
    _label(axes, "MiB", (axes.get_xlim()[0], 1.0), (6 - LEFT, 5), "left")


def _marks(axes: Axes, marks: Sequence[Mark]) -> None:
    """Vertical lines, each with a stroke to its number above; numbers too near each other move apart."""
    low, high = axes.get_xlim()
    width = WIDTH - LEFT - RIGHT
    places = [(mark.t - low) / (high - low) * width for mark in marks]
    for mark, place, shown in zip(marks, places, apart(places, width), strict=True):
        kind = "oom" if mark.oom else "mark"
        axes.axvline(mark.t, gid=kind, color=INK, linewidth=1.4, linestyle="-" if mark.oom else (0, (2, 2)))
        if stroke := _label(axes, str(mark.number), (mark.t, 1.0), (shown - place, LEAD), "center", lead=True):
            stroke.set_gid(kind)


def apart(places: Sequence[float], width: float) -> list[float]:
    """Places in order, as near to what they were as leaves APART between two of them; none beyond `width`."""
    shown: list[float] = []
    for place in places:
        shown.append(max(place, shown[-1] + APART) if shown else place)
    last = width
    for i in reversed(range(len(shown))):
        shown[i] = min(shown[i], last)
        last = shown[i] - APART
    return shown


def _label(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], align: str, *, lead: bool = False
) -> FancyArrowPatch | None:
    """Text beside the axes: `at` is (seconds, share of the height), `offset` in SVG units from there.

    lead  a stroke leads from there to the text, and is returned
    """
    return axes.annotate(
        text,
        at,
        xycoords=axes.get_xaxis_transform(),
        xytext=offset,
        textcoords="offset points",
        annotation_clip=False,
        horizontalalignment=align,
        parse_math=False,
        arrowprops={"arrowstyle": "-", "shrinkA": 1, "shrinkB": 0, "color": INK} if lead else None,
    ).arrow_patch


def _key(figure: Figure, lines: Sequence[Series], marks: Sequence[Mark], height: float) -> None:
    """The meaning of the lines and the numbers, below the axes."""
    handles = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    place = (0.0, len(marks) * ROW / height)
    legend = figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=place, ncols=len(lines), frameon=False, fontsize=10
    )
    legend.set_gid("key")
    for handle in legend.get_lines():
        handle.set_gid(next(s.css for s in lines if s.name == handle.get_label()))
    for mark in marks:
        y = (len(marks) - mark.number) * ROW + 5
        figure.text(
            LEFT / WIDTH, y / height, f"{mark.number}   {mark.t:.2f} s   {mark.text}", parse_math=False, gid="key"
        )


def _tidy(text: str, prefix: str) -> ET.Element:
    """matplotlib's SVG with classes instead of ids, prefixed ids where something refers to them, and short numbers."""
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(text)  # noqa: S314 - our own text of a moment ago
    referred = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", text))
    for element in root.iter():
        # Indentation: a third of the page's size.
        element.text, element.tail = (t if t and t.strip() else None for t in (element.text, element.tail))
        for child in list(element):
            # matplotlib's own <style> would reach all of the page that the curve stands in.
            if child.tag == f"{{{SVG}}}style":
                element.remove(child)
        _rename(element, referred, prefix)
        for name in ("d", "x", "y"):
            if name in element.attrib:
                element.set(name, re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.1f}", element.attrib[name]))
    root.set("class", "curve")
    return root


def _rename(element: ET.Element, referred: set[str], prefix: str, before: str = "") -> None:
    """Give the ids that something refers to, and what refers to them, a prefix for the one they had `before`."""
    own = element.attrib.pop("id", None)
    if own in referred:
        element.set("id", prefix + own.removeprefix(before))
    elif own in CLASSES:
        element.set("class", own)
    for name, value in element.attrib.items():
        if value.startswith("#") and name.endswith("href"):
            element.set(name, f"#{prefix}{value[1:].removeprefix(before)}")
        elif "url(#" in value:
            element.set(name, value.replace(f"url(#{before}", f"url(#{prefix}"))


def _describe(root: ET.Element, ledger: Ledger, prefix: str, title: str) -> None:
    """Say in words what the picture shows, for those who cannot see it."""
    last = ledger.last
    told = "The ledger has no points."
    if last is not None:
        told = (
            f"When it held most, the client {ledger.client} held {size(last.held)} and was charged "
            f"{size(last.charged)}; the limit was {size(ledger.limit, 'none')}, and {size(last.gone)} of free memory "
            "were gone."
        )
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}title {prefix}desc")
    for place, (name, text) in enumerate((("title", title), ("desc", told))):
        element = ET.Element(f"{{{SVG}}}{name}", {"id": prefix + name})
        element.text = one_line(text)
        root.insert(place, element)
