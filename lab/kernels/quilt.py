# SPDX-License-Identifier: GPL-2.0-only
"""The file `series` of quilt: which patches, in which order, with which options. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.errors import BadInput

_OPTIONS = re.compile(r"-p\d|-pab|-R")
HINT = "a line of a quilt series is PATCH [-pN] [-R] [# words]"


@dataclass(frozen=True)
class Entry:
    """One line: the patch's file, as seen from the file `series`, and options for git apply."""

    name: str
    options: tuple[str, ...]
    line: int


def parse(text: str, source: str) -> tuple[Entry, ...]:
    """The entries in order; lines that begin with # are patches that were dropped. Raises BadInput with each line that
    is no entry."""
    entries: list[Entry] = []
    problems: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        name, *words = re.sub(r"(?:^|\s)#.*", "", raw).split() or [""]
        options = [word for word in words if _OPTIONS.fullmatch(word)]
        if not name:
            continue
        if len(options) < len(words) or name.startswith(("-", "+")):
            problems.append(f"{source}:{number}: not a patch with options: {raw.strip()[:100]!r}.")
        elif ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            problems.append(f"{source}:{number}: {name}: a patch lies beside the file series, or below.")
        else:
            entries.append(Entry(name, tuple(o for o in options if o not in ("-p1", "-pab")), number))
    if not entries and not problems:
        problems = [f"{source}: it names no patch."]
    if problems:
        raise BadInput(problems, hint=HINT)
    return tuple(entries)
