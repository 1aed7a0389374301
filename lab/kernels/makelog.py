# SPDX-License-Identifier: GPL-2.0-only
"""What a build says: how far it is, and why it failed. No I/O."""

from __future__ import annotations

import re

_OBJECT = re.compile(r"^  (?:CC|AS)(?: \[M\])? +\S")
_ERROR = re.compile(
    r"^(?:\S+:\d+(?::\d+)?: (?:fatal )?error: .*"
    r"|\S+: (?:Fatal )?[Ee]rror: .*"
    r"|\S*ld(?:\.\w+)?: .*(?:undefined reference|multiple definition|cannot find|error).*"
    r"|\S+:\d+: (?:undefined reference|multiple definition).*"
    r"|(?:ERROR|Error): .*|make.*: \*\*\* No rule to make target .*"
    r"|\S+:\d+: (?:syntax error|invalid statement|unknown statement).*)$"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_KILLED = re.compile(r"Killed signal terminated program|\bKilled$|out of memory allocating", re.MULTILINE)
SHOWN = 12


def is_object(line: str) -> bool:
    """Whether a line of make's output announces one more object."""
    return _OBJECT.match(line) is not None


def objects(log: str) -> int:
    """How many objects a build made."""
    return sum(is_object(line) for line in log.splitlines())


def errors(log: str) -> tuple[str, ...]:
    """The lines that say what is wrong with the source, each once; paths as seen from the top of the tree."""
    lines = (line.removeprefix("../") for line in log.splitlines())
    return tuple(dict.fromkeys(line for line in lines if _ERROR.match(line)))


def is_disk_full(log: str) -> bool:
    return _FULL.search(log) is not None


def was_killed(log: str) -> bool:
    """Whether the compiler was killed, as happens to it when memory runs out."""
    return _KILLED.search(log) is not None
