"""Captures that grow while we watch: consoles and telemetry of running guests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TAIL = 64 * 1024


@dataclass(frozen=True)
class Mark:
    """A position in a growing file, taken when a run begins."""

    path: Path
    offset: int


def mark(path: Path) -> Mark:
    """The end of the last whole line at this moment."""
    data = path.read_bytes() if path.exists() else b""
    return Mark(path, data.rfind(b"\n") + 1)


def since(start: Mark) -> bytes:
    """Whole lines written since the mark."""
    if not start.path.exists():
        return b""
    with start.path.open("rb") as f:
        f.seek(start.offset)
        data = f.read()
    return data[: data.rfind(b"\n") + 1]


def size(path: Path) -> int:
    """Bytes captured so far; 0 before the first."""
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, count: int) -> list[bytes]:
    """The last whole lines, oldest first; fewer when there are no more in the last 64 KiB."""
    if not path.exists():
        return []
    with path.open("rb") as f:
        f.seek(max(0, size(path) - TAIL))
        data = f.read()
    return data[: data.rfind(b"\n") + 1].splitlines()[-count:]
