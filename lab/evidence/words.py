"""Words of others, made fit to be shown: no control characters, and no longer than a line of a report."""

from __future__ import annotations

LONGEST = 300


def printable(text: str, longest: int = LONGEST) -> str:
    """Text without anything that moves a cursor, changes a colour, turns the direction of writing or breaks a line."""
    cut = text[: longest + 1]
    clean = cut if cut.isprintable() else "".join(c if c.isprintable() else " " if c == "\t" else "?" for c in cut)
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
