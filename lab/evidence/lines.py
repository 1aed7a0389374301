# SPDX-License-Identifier: GPL-2.0-only
"""Cutting a file of JSON Lines into numbered lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lab.evidence.bounds import LINE, LINES, SAMPLES, size_told

_INK = re.compile(rb"\S")


@dataclass(frozen=True)
class Lines:
    """The lines of a file, cut as they are asked for.

    rest   what came after the last newline (b"" when nothing did)
    bound  which bound the file exceeds, as words, "" when none: then not all of its lines are told
    """

    data: bytes
    rest: bytes
    bound: str

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Number, from 1, and content of each line that is neither empty nor too long."""
        return ((n, line) for n, line in islice(_filled(self.data), SAMPLES) if len(line) <= LINE)


def cut(data: bytes) -> Lines:
    """Split bytes at newlines; empty lines are dropped, numbers are those of the file."""
    return Lines(data, data[data.rfind(b"\n") + 1 :], exceeded(data))


def exceeded(data: bytes) -> str:
    """Which bound of number or length of lines a file exceeds, as words; "" when none."""
    lines = data.count(b"\n")
    if lines > LINES:
        return f"more than {LINES} lines"
    if _has_longer(data, LINE):
        return f"a line of more than {size_told(LINE)}"
    if lines > SAMPLES and sum(1 for _ in islice(_filled(data), SAMPLES + 1)) > SAMPLES:
        return f"more than {SAMPLES} lines that are not empty"
    return ""


def _filled(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the lines that hold something; those that do not cost next to nothing."""
    begin, number = 0, 1
    while ink := _INK.search(data, begin):
        start = data.rfind(b"\n", begin, ink.start()) + 1 or begin
        end = data.find(b"\n", ink.start())
        number += data.count(b"\n", begin, start)
        if end < 0 or number > LINES:
            return
        yield number, data[start:end]
        begin, number = end + 1, number + 1


def _has_longer(data: bytes, most: int) -> bool:
    """Whether a line has more bytes; each look goes back from where the line would have to have ended."""
    begin = 0
    while len(data) - begin > most:
        end = data.rfind(b"\n", begin, begin + most + 1)
        if end < 0:
            return True
        begin = end + 1
    return False
