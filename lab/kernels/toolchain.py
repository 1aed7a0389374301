# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Old sources that newer compilers and binutils refuse: what such a build says, and which commit mends it.

Each row was met by many: the commits say so themselves. A source that has its commit does not say these words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """`said` in the log of a build with this toolchain or a newer one; `commit` mends it."""

    said: re.Pattern[str]
    toolchain: str
    commit: str
    subject: str

    def __str__(self) -> str:
        return f'{self.toolchain} and newer want {self.commit} ("{self.subject}") in it; or build it with an older one'


KNOWN = (
    Refusal(
        re.compile(r"error: cannot use keyword .false. as enumeration constant"),
        "gcc 15",
        "b3bee1e7c3f2",
        "x86/boot: Compile boot code with -std=gnu11 too",
    ),
    Refusal(
        re.compile(r"subcmd-util\.h:\d+:\d+: error: .*\[-Werror=use-after-free\]"),
        "gcc 12",
        "52a9dab6d892",
        "libsubcmd: Fix use-after-free for realloc(..., 0)",
    ),
    Refusal(
        re.compile(r"multiple definition of .yylloc'"),
        "gcc 10",
        "e33a814e772c",
        "scripts/dtc: Remove redundant YYLOC global declaration",
    ),
    Refusal(
        re.compile(r"objtool: (?:missing symbol table|no non-local symbols)"),
        "binutils 2.36",
        "1d489151e9f9",
        "objtool: Don't fail on missing symbol table",
    ),
)


def refusal(log: str) -> Refusal | None:
    """The first that a log tells of."""
    return next((known for known in KNOWN if known.said.search(log)), None)
