# SPDX-License-Identifier: GPL-2.0-only
"""A run's part of its pair's captures: from a mark taken when the run begins to what is there when it ends."""

from __future__ import annotations

from pathlib import Path

from lab.collect.bundle import BundleWriter
from lab.collect.stream import Mark, copy_bytes, copy_lines, mark, size
from lab.evidence.names import FIRST

ROLES = ("receiver", "sender")
GROWING = ("telemetry.jsonl", "instructions.jsonl")
Marks = dict[str, Mark]
"""By the name of the file in the bundle."""


def from_power_on(captures: Path) -> Marks:
    """All that the guests of a pair ever said."""
    names = (*GROWING, "console.log")
    return {f"{role}/{name}": Mark(captures / role / name, 0) for role in ROLES for name in names}


def from_here(captures: Path, *, first: bool) -> Marks:
    """Telemetry from this moment; the console too, but the pair's first run also shows how its guests booted."""
    marks: Marks = {f"{role}/{name}": mark(captures / role / name) for role in ROLES for name in GROWING}
    for role in ROLES:
        console = mark(captures / role / "console.log")
        marks[f"{role}/console.log"] = Mark(console.path, 0 if first else console.offset)
    return marks


def copy(captures: Path, marks: Marks, bundle: BundleWriter) -> None:
    """Copy what came since the marks, and what is the pair's own, into the bundle."""
    for name, start in marks.items():
        if not start.path.exists():
            continue
        if name.endswith(".jsonl"):
            copy_lines(start, bundle.path(name))
            continue
        copy_bytes(start.path, start.offset, size(start.path), bundle.path(name))
        if start.offset:
            copy_bytes(start.path, 0, start.offset, bundle.path(name.replace("console", "before")))
    for once in (captures / "state.json", captures / FIRST):
        if once.exists():
            bundle.add(once.name, once.read_bytes())
    for source in (*captures.glob("*/domain.xml"), *captures.glob("preflight/*/preflight.jsonl")):
        folder = source.parent.name
        name = f"preflight/{folder}.jsonl" if source.suffix == ".jsonl" else f"{folder}/domain.xml"
        bundle.add(name, source.read_bytes())
