# SPDX-License-Identifier: GPL-2.0-only
"""Options that kernels before or after some version do not have, and what stands for them there. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.kernels.fragments import Option


@dataclass(frozen=True)
class Range:
    """An option that is gone from version `until` on; `instead` is asked for there. why: what went, and by what."""

    option: str
    until: tuple[int, int]
    instead: tuple[str, str]
    why: str


RANGES = (
    Range(
        "CONFIG_PREEMPT_NONE",
        (7, 2),
        ("CONFIG_PREEMPT_LAZY", "y"),
        "x86 always has preemption: PREEMPT_NONE depends on ARCH_NO_PREEMPT (kernel/Kconfig.preempt)",
    ),
    Range("CONFIG_PROC_SYSCTL", (7, 3), ("CONFIG_SYSCTL", "y"), "SYSCTL is /proc/sys itself (init/Kconfig)"),
)


def version_of(text: str) -> tuple[int, int] | None:
    """The first two numbers of a version; a release candidate has what its release will have."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def fitted(wanted: Mapping[str, Option], version: str, *, gone: frozenset[str] = frozenset()) -> dict[str, Option]:
    """The options as a kernel of that version takes them; "" is one of which nothing is known. gone: options that its
    Kconfig was seen not to have, whatever its version says: between two releases a tree has the number of the older."""
    at = version_of(version)
    found = dict(wanted)
    for entry in RANGES:
        asked = found.get(entry.option)
        if asked is None or asked.value != "y" or not ((at and at >= entry.until) or entry.option in gone):
            continue
        name, value = entry.instead
        found.pop(entry.option)
        found.setdefault(name, Option(name, value, asked.fragment, asked.line))
    return found


def has_proc_sys(have: Mapping[str, str], *, is_split: bool) -> bool:
    """Whether a kernel with that config has /proc/sys. is_split: it has PROC_SYSCTL apart from SYSCTL, as up to 7.2."""
    option = "CONFIG_PROC_SYSCTL" if is_split else "CONFIG_SYSCTL"
    return have.get(option) == "y" and have.get("CONFIG_PROC_FS") == "y"
