# SPDX-License-Identifier: GPL-2.0-only
"""What files of a bundle, and words in them, are called. Who only names them need not load what reads them."""

from __future__ import annotations

INSTRUCTIONS = "instructions.jsonl"
"""In the folder of the guest under test."""
TIMING = "timing.json"
FIRST = "first.jsonl"
"""The checkpoint with which the first run of the pair began."""
REFERENCE = "reference"
"""Where the bundle of the reference kernel lies inside that of the kernel compared with it."""

COUNTED = frozenset(
    {"accepted", "progress", "holding", "smaps", "grown", "cut", "heir", "execed", "released", "left", "done"}
)
"""Events of a client that carry its counters."""

BEGIN, END = 1, 2
"""Marks of images/guest/lib/count-mark.h."""
