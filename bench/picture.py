# SPDX-License-Identifier: GPL-2.0-only
"""A bench as a picture: every measured value, its median and the interval of the median."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

UNITS = {"s": "seconds", "MiB": "MiB", "MiB_per_s": "MiB/s", "per_min": "verdicts a minute", "share": "share"}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "lab",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
_DOT, _BAR = "#3b6ea8", "#b5531c"


def draw(told: Mapping[str, Any]) -> bytes:
    """SVG of a record: one row a variant, first variant on top. The same record gives the same bytes."""
    variants, unit = list(told["rounds"][0]), told["unit"]
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.2, 1.3 + 0.45 * len(variants)), layout="constrained")
        axes = figure.subplots()
        for row, variant in enumerate(reversed(variants)):
            values = [r[variant] for r in told["rounds"]]
            middle, spread = told[f"{variant}_{unit}"], told[f"{variant}_{unit}_spread"]
            axes.plot(values, [row] * len(values), "o", color=_DOT, alpha=0.45, markersize=4, markeredgewidth=0)
            if spread:
                axes.plot(spread, [row, row], color=_BAR, linewidth=2)
            axes.plot([middle], [row], "|", color=_BAR, markersize=16, markeredgewidth=2)
            axes.annotate(f"{middle:.3g}", (middle, row), (0, 10), textcoords="offset points", ha="center")
        axes.set_yticks(range(len(variants)), [v.replace("_", " ") for v in reversed(variants)])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(variants) - 0.3)
        axes.set_xlim(left=0)
        axes.grid(axis="x", alpha=0.3)
        axes.set_xlabel(f"{UNITS.get(unit, unit)}; {where(told)}")
        axes.set_title(told["title"], loc="left", fontsize=10)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def where(told: Mapping[str, Any]) -> str:
    """The machine in a few words."""
    return f"{told['cpus']} CPUs, {told.get('accelerator', '')}, QEMU {told['qemu']}, n = {len(told['rounds'])}"
