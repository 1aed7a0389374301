# SPDX-License-Identifier: GPL-2.0-only
"""The printk records of a console that need a look, found by the words they hold: time and memory have bounds.

A console is never cut into all its lines. Each needle is looked for in all of it, which costs a tenth of a second per
200 MB, and only lines with a needle are taken apart: `ready[   12.345678][    T1] BUG: ...` is two records.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lab.units import KIB, MIB

HEAD, TAIL = 12 * MIB, 4 * MIB
"""Bytes searched for every needle. What lies between them, in a larger console, is searched for the gravest alone."""
LONG_LINE = 4 * KIB
"""printk's own bound is 1 KiB (PRINTKRB_RECORD_MAX); several records may have run together on a line."""
LOOKS, LAST_LOOKS = 20_000, 5_000
LOOK_BYTES, LAST_LOOK_BYTES = 2 * MIB, MIB // 2
"""Lines and bytes taken apart, from the front and from the back."""

_CELL = 2 * KIB
_SYSLOG = re.compile(
    r"(?:\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,20}) (?:\S{1,80} )?kernel: ?"
    r"|\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] "  # dmesg -T
    r"|<\d{1,3}>"  # /dev/kmsg and dmesg --raw
)
_STAMP_TEXT = r"\[ {0,12}(\d{1,9}\.\d{6})\]"
_STAMP = re.compile(rf"(?:<\d{{1,3}}>)?{_STAMP_TEXT}(?:\[ {{0,8}}[TC]\d{{1,9}}\])? ?(?:c\d{{1,3}} {{1,6}}\d{{1,9}} )?")
"""A level, the stamp, a caller's tag (CONFIG_PRINTK_CALLER), and the CPU and PID that Android's kernels add."""
_STAMP_BYTES = re.compile(_STAMP_TEXT.encode())
_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,8}[@-~]|[()][0-9A-Za-z]|[=>78cDEHM])|\x00")


@dataclass(frozen=True, slots=True)
class Record:
    """One printk record, or one piece of other output. `t` in seconds since boot.

    kernel  nobody but the kernel prints so: it has a stamp, or nothing on this console has one
    at      where its line begins
    """

    line: int
    t: float | None
    text: str
    kernel: bool
    at: int


@dataclass
class Reader:
    """A console's bytes, and what of them exceeded a bound."""

    data: bytes
    stamped: bool = False
    bound: str = ""
    _cut: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, raw: bytes) -> Reader:
        small = len(raw) <= HEAD + TAIL
        data = _ESCAPE.sub(b"", raw) if small and (b"\x1b" in raw or b"\x00" in raw) else raw
        reader = cls(data, _STAMP_BYTES.search(data, 0, HEAD) is not None)
        if not small:
            reader.exceeds(f"{len(raw)} bytes are more than {HEAD + TAIL}: the middle was searched for the worst alone")
        return reader

    def exceeds(self, sentence: str) -> None:
        """Only the first bound is told."""
        self.bound = self.bound or sentence

    def spans(self) -> tuple[tuple[int, int, bool], ...]:
        """Parts of the data, and whether each is searched for every needle."""
        size = len(self.data)
        if size <= HEAD + TAIL:
            return ((0, size, True),)
        head = self.data.find(b"\n", HEAD, HEAD + LONG_LINE) + 1 or HEAD
        tail = self.data.find(b"\n", size - TAIL, size - TAIL + LONG_LINE) + 1 or size - TAIL
        return ((0, head, True), (head, tail, False), (tail, size, True))

    def records(self, needles: Sequence[bytes], gravest: Sequence[bytes]) -> Iterator[Record]:
        """Every record of a line with a needle in it, in order."""
        line, counted = 1, 0
        for start, end in self._units(needles, gravest):
            line += self.data.count(b"\n", counted, start)
            counted = start
            yield from self._apart(line, start, end)

    def _units(self, needles: Sequence[bytes], gravest: Sequence[bytes]) -> list[tuple[int, int]]:
        """Lines, and cells of lines that are too long, with a needle; as many as may be looked at."""
        found: dict[int, int] = {}
        for begin, end, whole in self.spans():
            for needle in needles if whole else gravest:
                self._find(needle, begin, end, found)
                if len(found) > 2 * (LOOKS + LAST_LOOKS):
                    found = dict(self._some(sorted(found.items())))
        return self._some(sorted(found.items()))

    def _find(self, needle: bytes, begin: int, end: int, found: dict[int, int]) -> None:
        """The first units with the needle, and the last ones where there are too many."""
        at, looks = self.data.find(needle, begin, end), 0
        while at >= 0 and looks < LOOKS:
            start, stop = self._unit(at)
            found[start] = stop
            at, looks = self.data.find(needle, max(at + 1, stop), end), looks + 1
        if at < 0:
            return
        self.exceeds(f"more than {LOOKS} lines need a look: those in the middle were not read")
        first, at, looks = at, self.data.rfind(needle, at, end), 0
        while at >= 0 and looks < LAST_LOOKS:
            start, stop = self._unit(at)
            found[start] = stop
            at, looks = self.data.rfind(needle, first, max(first, start)), looks + 1

    def _unit(self, at: int) -> tuple[int, int]:
        """The line around an offset; of a line that is too long, a piece."""
        begin = self.data.rfind(b"\n", max(0, at - LONG_LINE), at) + 1
        known = begin > 0 or at < LONG_LINE
        end = self.data.find(b"\n", at, at + LONG_LINE)
        if end < 0 and len(self.data) <= at + LONG_LINE:
            end = len(self.data)
        if known and 0 <= end <= begin + LONG_LINE:
            return begin, end
        self.exceeds(f"a line is longer than {LONG_LINE} bytes: it was read in pieces")
        cell = at - at % _CELL
        return max(cell, begin), cell + _CELL if end < 0 else min(cell + _CELL, end)

    def _some(self, units: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """As many as may be looked at, from both ends."""
        first = _within(units, LOOKS, LOOK_BYTES)
        if first == len(units):
            return units
        last = _within(units[:first:-1], LAST_LOOKS, LAST_LOOK_BYTES)
        if first + last < len(units):
            self.exceeds(f"{first + last} lines were looked at, and more need it: those in the middle were not read")
        return units[:first] + units[max(first, len(units) - last) :]

    def _apart(self, line: int, start: int, end: int) -> Iterator[Record]:
        """The records of a line; a piece of a long one begins a little earlier and ends later, to cut no word."""
        start = self.data.rfind(b"\n", max(0, start - 64), start) + 1 or max(0, start - 64)
        after = self.data.find(b"\n", end, end + KIB)
        raw = self.data[start : after if after >= 0 else end + KIB]
        text = (_ESCAPE.sub(b"", raw) if b"\x1b" in raw or b"\x00" in raw else raw).decode("utf-8", "replace")
        for piece in text.split("\r"):
            yield from self._stamps(line, piece, start)

    def _stamps(self, line: int, piece: str, at: int) -> Iterator[Record]:
        """Cut at time stamps: `ready[   1.5] BUG: ...` is two records."""
        head, *rest = _STAMP.split(piece)
        if head and not head.isspace():
            prefix = _SYSLOG.match(head)
            text = head[prefix.end() :] if prefix else head
            yield Record(line, None, text, not self.stamped or prefix is not None, at)
        for stamp, text in zip(rest[::2], rest[1::2], strict=True):
            yield Record(line, float(stamp), text, True, at)

    def before(self, at: int, most: int) -> Iterator[Record]:
        """The records of the lines before an offset, nearest first."""
        for _ in range(most):
            if at <= 0:
                return
            begin = self.data.rfind(b"\n", max(0, at - LONG_LINE), at - 1) + 1
            yield from reversed(list(self._apart(0, begin, min(at - 1, begin + LONG_LINE))))
            if not begin:
                return
            at = begin

    def stamps(self, marks: Sequence[int]) -> tuple[list[int], list[tuple[int, float, float]]]:
        """How many stamps stand before each offset, and where they fall back to a kernel's first second."""
        counts, falls = [0] * (len(marks) + 1), []
        latest = 0.0
        for begin, end, whole in self.spans():
            for match in _STAMP_BYTES.finditer(self.data, begin, end) if whole else ():
                counts[bisect_left(marks, match.start())] += 1
                t = float(match[1])
                if t < 1.0 and latest > t + 5.0:
                    falls.append((match.start(), latest, t))
                    latest = t
                latest = max(latest, t)
        return counts, falls

    def has_stamp_before(self, at: int) -> bool:
        return self.stamped and _STAMP_BYTES.search(self.data, 0, min(at, HEAD)) is not None

    def line_of(self, at: int) -> int:
        return self.data.count(b"\n", 0, at) + 1


def _within(units: Iterable[tuple[int, int]], most: int, most_bytes: int) -> int:
    """How many of the first units stay within both bounds."""
    total = number = 0
    for number, (start, end) in enumerate(units, 1):
        total += end - start
        if number > most or total > most_bytes:
            return number - 1
    return number
