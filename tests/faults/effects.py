# SPDX-License-Identifier: GPL-2.0-only
"""What a fault did, and when: by this runs are told that it hit."""

from __future__ import annotations

import time
from dataclasses import dataclass


class NotPossibleError(Exception):
    """There is nothing here and now that the fault could be done to."""


@dataclass(frozen=True)
class Effect:
    """From when to when (seconds since 1970), to which pair ("" where that is not known), and in words.

    harmless  it is known to change nothing that a run is judged by
    damaged   files of the cache, and the digest that each has since
    """

    what: str
    began: float
    ended: float
    pair: str = ""
    harmless: bool = False
    damaged: tuple[tuple[str, str], ...] = ()


def effect(what: str, began: float, **more: object) -> Effect:
    """One that is over now."""
    return Effect(what, began, time.time(), **more)  # type: ignore[arg-type]
