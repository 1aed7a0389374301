"""Text of which nobody knows what it holds, made fit for a terminal, a page and a file."""

from __future__ import annotations

import re

# Control characters (terminals obey them) and lone surrogates (UTF-8 cannot carry them); XML 1.0 forbids both. Then
# what changes how the text around it is read and cannot be seen itself: Unicode's category Cf, which has the overrides
# of direction (U+202A to U+202E, U+2066 to U+2069), and the two that begin a line where no newline is.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)

MOST = 4000
"""Characters of one text that a reader is shown."""


def printable(text: str, most: int = 0) -> str:
    """Text that XML, UTF-8 and a terminal can carry; what they cannot becomes U+FFFD. Newlines and tabs stay.

    most  characters that are kept; 0 for all
    """
    return _UNPRINTABLE.sub("\ufffd", clipped(text, most) if most else text)


def one_line(text: str, most: int = MOST) -> str:
    """Printable text on one line."""
    return " ".join(printable(text, most).split())


def clipped(text: str, most: int) -> str:
    """The beginning of a text, with an ellipsis in place of what is too much."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
