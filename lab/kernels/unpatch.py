# SPDX-License-Identifier: GPL-2.0-only
"""What a file is that holds no patch the lab could apply, and what to do about it. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.kernels.plain import HUNK

CURE = "git format-patch --stdout A..B, b4 am MESSAGE-ID, or git diff make what can be read"
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|\?xml)", re.IGNORECASE)
_COLOUR = re.compile(r"^\x1b\[[\d;]*m(?:diff |--- |\+\+\+ |@@ )", re.MULTILINE)
_CONTEXT = re.compile(r"^\*\*\* \S.*\n--- \S.*\n\*{5,}", re.MULTILINE)
_COMBINED = re.compile(r"^(?:diff --(?:cc|combined) |@@@+ -)", re.MULTILINE)
_QUOTED = re.compile(r"^(?:> ?|\| )+(?:diff --git |@@ -)", re.MULTILINE)
_GRAPH = re.compile(r"^[|*\\/ ]+diff --git ", re.MULTILINE)
_NORMAL = re.compile(r"^\d+(?:,\d+)?[acd]\d+(?:,\d+)?\n[<>] ", re.MULTILINE)
_STAT = re.compile(r"^ \S.* \| +(?:\d+|Bin)\b", re.MULTILINE)
_RANGE = re.compile(r"^ *\d+: +[0-9a-f]{7,} [=!<>] +(?:\d+|-):", re.MULTILINE)
_WORDS = re.compile(r"^[^ +\-\\\n].*(?:\[-.*-\]|\{\+.*\+\})|^(?:\[-.*-\]|\{\+.*\+\})", re.MULTILINE)
_BINARY = re.compile(r"^Binary files .* differ$", re.MULTILINE)
_LARGEST = 120


@dataclass(frozen=True)
class Told:
    """What a file is instead (as words after "it"), and the cure."""

    what: str
    cure: str


_CONTAINERS: tuple[tuple[tuple[bytes, ...], Told], ...] = (
    (
        (b"# v2 git bundle", b"# v3 git bundle"),
        Told(
            "is a git bundle: commits, and no patches",
            "git fetch FILE REF:BRANCH in a tree that has what it builds on, then --base DIRECTORY#BRANCH",
        ),
    ),
    ((b"\xff\xfe", b"\xfe\xff"), Told("is text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > NEW")),
    (
        (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!"),
        Told("is an archive of files", "unpack it, and name the directory"),
    ),
    (
        (b"\x1f\x8b", b"\xfd7zXZ\x00", b"BZh", b"\x28\xb5\x2f\xfd", b"LZIP", b"\x1f\x9d"),
        Told("is packed in a way that the lab does not unpack", "unpack it (gunzip, unxz, unzstd)"),
    ),
    ((b"\x7fELF", b"PACK", b"%PDF", b"\xd0\xcf\x11\xe0"), Told("is no text", CURE)),
)


def container(data: bytes) -> Told | None:
    """What the bytes are when they are no text of patches at all."""
    found = next((told for marks, told in _CONTAINERS if data.startswith(marks)), None)
    if data[257:262] == b"ustar":
        return Told("is an archive of files", "unpack it, and name the directory")
    if _HTML.match(data):
        return Told("is a web page", "save the raw mail (on lore: raw, or t.mbox.gz for a thread)")
    return found if found or data.strip() else Told("is empty", CURE)


_OTHERS = (
    (_COLOUR, Told("is a diff with colours", "git diff --no-color, git log --no-color")),
    (
        _COMBINED,
        Told("is a combined diff of a merge, which cannot be applied", "git diff A B, or git format-patch A..B"),
    ),
    (_CONTEXT, Told("is a context diff", "diff -u, or git diff, makes a unified one")),
    (_NORMAL, Told("is a diff without context", "diff -u, or git diff, makes a unified one")),
    (_QUOTED, Told("only quotes a patch, in an answer", "save the mail that it answers")),
    (_GRAPH, Told("is a log with a graph", "git format-patch A..B")),
    (_STAT, Told("holds the statistics of a diff, and not the diff", CURE)),
    (_RANGE, Told("holds a range-diff, which compares two series", "name the series itself")),
)


def no_patch(text: str) -> Told:
    """Why a text without a unified diff holds no patch."""
    return next((told for pattern, told in _OTHERS if pattern.search(text)), Told("holds no patch", CURE))


def is_combined(diff: str) -> bool:
    """git apply would pass over a combined diff in silence."""
    return _COMBINED.search(diff) is not None


def lacks_binary(diff: str) -> bool:
    """git sees only when it applies a diff that a binary file's content is not in it."""
    return _BINARY.search(diff) is not None


def flaw(diff: str, said: str) -> str:
    """Why git cannot read a diff, in words; `said` is what git says."""
    if lacks_binary(diff):
        return "a binary file is named, and not in it; git format-patch --binary"
    if _WORDS.search(diff):
        return "it is a diff of words; git diff without --word-diff"
    lines = diff.split("\n")
    for number, line in enumerate(lines):
        if header := HUNK.match(line):
            found = _flaw_in(lines, number, int(header[1] or 1), int(header[2] or 1))
            if found:
                return found
    return said.strip().splitlines()[0] if said.strip() else "git cannot read it"


def _flaw_in(lines: list[str], start: int, old: int, new: int) -> str:
    """What is wrong with the hunk at a line; "" for nothing. One that is cut off may still end in a newline."""
    at = start + 1
    while old > 0 or new > 0:
        if at >= len(lines) - 1:
            return f"it ends in the middle of the hunk {lines[start]!r}; save the mail again, whole"
        sign = lines[at][:1] or " "
        if sign not in " +-\\":
            return _foreign(lines[at], lines[start])
        old -= sign in " -"
        new -= sign in " +"
        at += 1
    return "" if (old, new) == (0, 0) else f"the hunk {lines[start]!r} has more lines than its header says"


def _foreign(line: str, header: str) -> str:
    if line.startswith(("diff ", "--- ", "From ")):
        return f"the hunk {header!r} has fewer lines than its header says"
    return f"the line {line[:_LARGEST]!r} in the hunk {header!r} is none of a diff; did a mail program wrap it?"
