# SPDX-License-Identifier: GPL-2.0-only
"""Captures that grow while we watch: consoles and telemetry of running guests. They may be large: read in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

TAIL = 64 * 1024
CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Mark:
    """A position in a growing file, taken when a run begins."""

    path: Path
    offset: int


def mark(path: Path) -> Mark:
    """The end of the last whole line at this moment."""
    try:
        with path.open("rb") as file:
            return Mark(path, _whole(file, size(path)))
    except FileNotFoundError:
        return Mark(path, 0)


def since(start: Mark) -> bytes:
    """Whole lines written since the mark. For what we write ourselves: a guest's captures may be large."""
    try:
        with start.path.open("rb") as file:
            return b"".join(_pieces(file, start.offset, _whole(file, size(start.path))))
    except FileNotFoundError:
        return b""


def copy_lines(start: Mark, target: Path) -> None:
    """Whole lines written since the mark, into a file that is made for them."""
    with start.path.open("rb") as file:
        _copy(file, start.offset, _whole(file, size(start.path)), target)


def copy_bytes(path: Path, begin: int, end: int, target: Path) -> None:
    """A part of a capture, into a file that is made for it."""
    with path.open("rb") as file:
        _copy(file, begin, end, target)


def _copy(file: BinaryIO, begin: int, end: int, target: Path) -> None:
    with target.open("wb") as out:
        out.writelines(_pieces(file, begin, end))


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    file.seek(begin)
    while (left := end - file.tell()) > 0 and (data := file.read(min(CHUNK, left))):
        yield data


def _whole(file: BinaryIO, end: int) -> int:
    """Where the last whole line before `end` ends: looked for backwards, for files are long and lines are short."""
    while end > 0:
        begin = max(0, end - TAIL)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def size(path: Path) -> int:
    """Bytes captured so far; 0 before the first."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(path: Path, count: int) -> list[bytes]:
    """The last whole lines, oldest first; fewer when there are no more in the last 64 KiB."""
    try:
        with path.open("rb") as f:
            f.seek(max(0, size(path) - TAIL))
            data = f.read(TAIL)
    except FileNotFoundError:
        return []
    return data[: data.rfind(b"\n") + 1].splitlines()[-count:]
