# SPDX-License-Identifier: GPL-2.0-only
"""Damage for tests: a bit of a file that is another one."""

from __future__ import annotations

from pathlib import Path


def flip(path: Path, where: float = 0.5) -> None:
    """Flip one bit, at this share of the file's length."""
    place = min(int(path.stat().st_size * where), path.stat().st_size - 1)
    with path.open("r+b", buffering=0) as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
