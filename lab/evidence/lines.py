"""Cutting a file of JSON Lines into numbered lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Lines:
    """The lines of a file, numbered from 1, and what came after the last newline (b"" when nothing did)."""

    whole: tuple[tuple[int, bytes], ...]
    rest: bytes

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return iter(self.whole)


def cut(data: bytes) -> Lines:
    """Split bytes at newlines; empty lines are dropped, numbers are those of the file."""
    *whole, rest = data.split(b"\n")
    return Lines(tuple((n, line) for n, line in enumerate(whole, 1) if line.strip()), rest)
