# SPDX-License-Identifier: GPL-2.0-only
"""Names of kernels the lab builds: `[BASE:]DESIGN[+OVERLAY...][~MUTANT]`. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_BASE = "6.12"
_NAME = re.compile(
    r"(?:(?P<base>[\w.~-]+):)?(?P<stem>[A-Za-z0-9][\w.-]*)(?P<overlays>(?:\+[\w.-]+)*)(?:~(?P<mutant>[\w.-]+))?"
)
_PACKAGED = re.compile(r"all|newest(?:-any)?|\d+(?:\.\d+)+(?:-rc\d+)?|\d+\.\d+.*-(?:amd64|arm64|generic|cloud-\w+)")
OWN_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class BuildName:
    """The parts of a name. stem is a design, or the name somebody gave a kernel with --name; base "" is the default."""

    base: str
    stem: str
    overlays: tuple[str, ...]
    mutant: str

    def __str__(self) -> str:
        base = f"{self.base}:" if self.base else ""
        return base + "+".join((self.stem, *self.overlays)) + (f"~{self.mutant}" if self.mutant else "")


def means_packaged(name: str) -> bool:
    """Whether a name means kernels of the distribution, or all that can be built: nobody's own may take it."""
    return _PACKAGED.fullmatch(name) is not None


def parse_name(text: str) -> BuildName | None:
    """The parts, None when the text cannot be such a name."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    overlays = tuple(word for word in found["overlays"].split("+") if word)
    base = found["base"] or ""
    return BuildName("" if base == DEFAULT_BASE else base, found["stem"], overlays, found["mutant"] or "")
