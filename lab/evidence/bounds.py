# SPDX-License-Identifier: GPL-2.0-only
"""What a bundle may hold at most. What is more than that is not read, and makes an ERROR that names the bound.

A bundle comes from anywhere: to judge it must take time and memory that its maker does not choose. Each bound is some
ten times of what the longest runs of the lab leave behind.
"""

from __future__ import annotations

import math

from lab.units import KIB, MIB

WHOLE = 1024 * MIB
"""Bytes that are read of one bundle, be it only to hash them."""

FILES = 10_000
PATH = 512  # characters of a path inside the bundle
DEPTH = 8  # of folders

LINES = 2_000_000
LINE = MIB
SAMPLES = 40_000
"""Lines of JSON that become records: more than an hour of telemetry. A record takes some KiB of memory."""

MANIFEST = 8 * MIB
CONSOLE = 64 * MIB
TELEMETRY = 64 * MIB
PROGRAM = 32 * MIB
OTHER = 64 * MIB

_BY_NAME = {
    "manifest.json": MANIFEST,
    "timing.json": 4 * MIB,
    "console.log": CONSOLE,
    "before.log": CONSOLE,
    "telemetry.jsonl": TELEMETRY,
}

NUMBER = 2**64 - 1
"""No counter of a kernel or program is larger; one that fell below zero may look as large as that."""

SECONDS = 1e9
"""Thirty years of a guest's clock."""


def bound_of(path: str) -> int:
    """Bytes that are read of a file."""
    name = path.rpartition("/")[2]
    return _BY_NAME.get(name, PROGRAM if name.endswith(".jsonl") else OTHER)


def size_told(size: int) -> str:
    """`64 MiB`, `1 KiB`."""
    return f"{size // MIB} MiB" if size >= MIB else f"{math.ceil(size / KIB)} KiB"
