# SPDX-License-Identifier: GPL-2.0-only
"""Text of which nobody knows what it holds, made fit for a terminal, a page and a file."""

from __future__ import annotations

import unicodedata

MOST = 4000
"""Characters of one text that a reader is shown."""

TITLE = 300
"""Characters of what a report is called."""


def printable(text: str, most: int = 0) -> str:
    """Text that XML, UTF-8 and a terminal can carry; what they cannot becomes U+FFFD. Newlines, tabs and blanks stay.

    Control characters and overrides of direction, which a terminal obeys, lone surrogates, which UTF-8 cannot carry,
    and all else that cannot be seen go: what str.isprintable() says no to.

    most  characters that are kept; 0 for all
    """
    kept = clipped(text, most) if most else text
    return kept if kept.isprintable() else "".join(c if _may_stay(c) else "\ufffd" for c in kept)


def _may_stay(c: str) -> bool:
    return c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs"


def one_line(text: str, most: int = MOST) -> str:
    """Printable text on one line."""
    return " ".join(printable(text, most).split())


def titled(text: str) -> str:
    """What a report is called, from its own words: on one line, with blanks as they are."""
    return printable(text.strip(), TITLE).translate({ord("\t"): " ", ord("\n"): " "})


def clipped(text: str, most: int) -> str:
    """The beginning of a text, with an ellipsis in place of what is too much."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
