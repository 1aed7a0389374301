# SPDX-License-Identifier: GPL-2.0-only
"""Taint flags: what a kernel says of itself for good, whether or not its console was heard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.verdict.model import Word


@dataclass(frozen=True)
class Flag:
    """A bit of /proc/sys/kernel/tainted. `word`: what that makes of a run; None where it is no matter."""

    bit: int
    letter: str
    meaning: str
    word: Word | None = None


# taint_flags of kernel/panic.c; Documentation/admin-guide/tainted-kernels.rst.
FLAGS: tuple[Flag, ...] = (
    Flag(0, "P", "a proprietary module was loaded"),
    Flag(1, "F", "a module was loaded by force", Word.ERROR),
    Flag(2, "S", "the kernel runs on a processor that is out of specification"),
    Flag(3, "R", "a module was unloaded by force", Word.ERROR),
    Flag(4, "M", "the processor reported a machine check", Word.ERROR),
    Flag(5, "B", "a bad page was referenced, or some page flags were wrong", Word.FAIL),
    Flag(6, "U", "user space asked for the taint", Word.ERROR),
    Flag(7, "D", "the kernel died: an oops or a BUG", Word.FAIL),
    Flag(8, "A", "an ACPI table was overridden by the user"),
    Flag(9, "W", "the kernel issued a warning", Word.FAIL),
    Flag(10, "C", "a staging driver was loaded"),
    Flag(11, "I", "a workaround for a firmware bug is in use"),
    Flag(12, "O", "a module from outside the tree was loaded"),
    Flag(13, "E", "a module without a signature was loaded"),
    Flag(14, "L", "a soft lockup occurred", Word.FAIL),
    Flag(15, "K", "the kernel was live patched"),
    Flag(16, "X", "the distribution's own"),
    Flag(17, "T", "the layout of structures is randomised"),
    Flag(18, "N", "a test inside the kernel was run"),
    Flag(19, "J", "firmware was changed by a debugging call"),
)

_KNOWN = sum(1 << flag.bit for flag in FLAGS)


def merged(values: Iterable[int]) -> int:
    """Every bit of any of the values: a taint is never taken back."""
    found = 0
    for value in values:
        found |= value
    return found


def flags(value: int) -> tuple[Flag, ...]:
    """The flags of a value that say something of the kernel under test; bits beyond the table among them."""
    known = tuple(flag for flag in FLAGS if flag.word is not None and value >> flag.bit & 1)
    unknown = value & ~_KNOWN
    return (*known, *((Flag(-1, "?", f"bits this lab does not know: {unknown:#x}", Word.ERROR),) if unknown else ()))
