# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What a build costs, by what differs from what was built last. Measured: docs/kernels.md, two cores."""

from __future__ import annotations

from collections.abc import Iterable

FRESH = 300.0
"""Seconds of a build of which nothing is there; with a warm ccache it is 40."""
ONE_FILE = 11.0
HOT = 200.0
_HOT_HEADERS = ("mm", "mm_types", "sched", "fs", "page-flags", "memcontrol", "skbuff", "netdevice", "list", "types")


def build_seconds(paths: Iterable[str]) -> float:
    """Of a neighbour that differs in these files."""
    changed = [path for path in paths if not path.startswith(("Documentation/", "tools/", "samples/"))]
    if not changed:
        return 1.0
    hot = any(path in (f"include/linux/{name}.h" for name in _HOT_HEADERS) for path in changed)
    if hot or any(path.startswith(("scripts/", "Makefile", "arch/x86/Makefile")) for path in changed):
        return HOT
    headers = sum(path.endswith(".h") and path.startswith(("include/", "arch/x86/include/")) for path in changed)
    kconfig = any("Kconfig" in path for path in changed)
    return min(HOT, ONE_FILE + 0.7 * len(changed) + 10.0 * headers + (20.0 if kconfig else 0.0))
