# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a test's output, without what consoles, system logs and terminals put before and between them.

A test, or a module that it loads, may report through the kernel's log, and what shows that log stamps each line in its
own way, or only some of the lines. Behind a stamp a `not ok` is a `not ok`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_BYTES = 16 << 20
MAX_LINES = 1_000_000
MAX_LINE = 64 << 10
"""Bounds of what is read. The longest report of tools/testing/selftests has some 10,000 lines."""

_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78cDEHM])|\x00")
_WANTED = re.compile(rb"ok|TAP version|\.\.|Bail out!|Subtest", re.IGNORECASE)
"""What no line of a report is without; most lines of a long output have none of it."""

_MIDWAY = re.compile(r"(?:<\d{1,3}>)?\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ?")
"""A printk record that begins in the middle of a line, behind what somebody left unfinished there."""

_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_STAMP = re.compile(
    r"<\d{1,3}>"  # the level, as the syslog protocol and /dev/kmsg have it
    r"|\d+,\d+,\d+,[-+c](?:,[^;]{0,80})?;"  # a record read from /dev/kmsg
    r"|\[ *\d+\.\d+(?: +<[ \d.]+>)?\](?:\[ *[TC]\d+\])? ?"  # printk.time, with CONFIG_PRINTK_CALLER or dmesg -d
    r"|\[ *[TC]\d+\] ?|\[< *[\d.]+>\] ?"  # the caller alone; dmesg -d without the time
    rf"|\[[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d {_CLOCK} \d{{4}}\] ?|\[(?:\d{{4}}-\d\d-\d\d[T ])?{_CLOCK}\] ?"
    rf"|(?:\d{{4}}-\d\d-\d\d[T ])?{_CLOCK}(?:Z|[-+]\d\d:?\d\d)? "  # dmesg -T, --time-format iso, `ts`
    r"|[a-z]{3,8} {0,8}:[a-z]{3,6} {0,4}: "  # dmesg -x: `kern  :info  : `
    rf"|[A-Z][a-z]{{2}} [ \d]\d {_CLOCK} "  # a syslog's; the host and the program come behind it
)
_SPEAKER = re.compile(r"(?!(?:not )?ok )[\w.-]{1,64} [\w./-]{1,64}(?:\[\d{1,10}\])?: ")
_INDENT = re.compile(r"[ \t]*(?:#[ \t]*)*")


def report_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line that a report may consist of. What lies beyond a bound is not read."""
    for number, raw in _raw(data):
        if not _WANTED.search(raw):
            continue
        for piece in _ESCAPE.sub(b"", raw).decode("utf-8", "replace").split("\r"):
            for text in _records(piece):
                yield number, text.rstrip()


def bound(data: bytes) -> str:
    """The bound that an output exceeds, as a sentence; "" when all of it is read."""
    if len(data) > MAX_BYTES:
        return f"the output has {len(data)} bytes, and no more than {MAX_BYTES} are read"
    if data.count(b"\n") > MAX_LINES:
        return f"the output has more than {MAX_LINES} lines, which is all that is read"
    longest = next((number for number, raw in _raw(data) if len(raw) > MAX_LINE), 0)
    return f"line {longest} of the output is longer than the {MAX_LINE} bytes that are read" if longest else ""


def _raw(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Up to the bounds; a line that is too long is given one byte longer than it may be."""
    start, end = 0, min(len(data), MAX_BYTES)
    for number in range(1, MAX_LINES + 1):
        if start >= end:
            return
        stop = data.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        yield number, data[start : min(stop, start + MAX_LINE + 1)]
        start = stop + 1


def _records(text: str) -> Iterator[str]:
    """Cut where a stamp stands behind other words; one that stands at the beginning, or behind indentation, goes."""
    text = _unstamped(text)
    start = 0
    for stamp in _MIDWAY.finditer(text):
        yield text[start : stamp.start()]
        start = stamp.end()
    yield _unstamped(text[start:])


def _unstamped(text: str) -> str:
    """Without the stamps, one behind the other, that it begins with; indentation before them is kept."""
    indent = _INDENT.match(text)
    start = at = indent.end() if indent else 0
    while match := _STAMP.match(text, at):
        at = match.end()
        if speaker := _SPEAKER.match(text, at):
            at = speaker.end()
    return text if at == start else text[:start] + text[at:]
