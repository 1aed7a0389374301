# SPDX-License-Identifier: GPL-2.0-only
"""Where a patch does not fit: the first hunk whose lines are not there, beside what is there. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_GIT = re.compile(r'^diff --git "?[^/\s]+/(\S+?)"? "?[^/\s]+/\1"?$')
_OLD, _NEW = re.compile(r"^--- (\S.*)"), re.compile(r"^\+\+\+ (\S.*)")
_NOWHERE = "/dev/null"
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*$")
_NEAR = 40  # lines around the header's place in which the best likeness is looked for


@dataclass(frozen=True)
class Hunk:
    """One hunk: `wants` are the lines it expects (context and removed), without their first column."""

    header: str
    start: int
    wants: tuple[str, ...]


@dataclass(frozen=True)
class FileDiff:
    """What a patch does to one file; `creates` when the file must not be there yet."""

    path: str
    creates: bool
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True)
class Misfit:
    """The first place where a patch does not apply. `differences`: lines of the hunk (`-`) against the tree's (`+`)."""

    path: str
    header: str
    problem: str
    line: int = 0
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.path}: {self.header}" if self.header else self.path
        told = "".join(f"\n      {text}" for text in self.differences)
        return f"{where}\n    {self.problem}{told}"


def parse_diff(diff: str, strip: int = 1) -> tuple[FileDiff, ...]:
    """The files of a patch with their hunks; `strip`: how many leading parts of a path are none of it."""
    return tuple(_files(_lines(diff), strip))


def first_misfit(diff: str, read: Callable[[str], str | None], strip: int = 1) -> Misfit | None:
    """The first hunk of a patch that does not fit the tree; None when all do. `read` gives a file's text."""
    for file in parse_diff(diff, strip):
        text = read(file.path)
        if text is None and not file.creates:
            return Misfit(file.path, "", "the tree has no such file")
        if text is not None and file.creates:
            return Misfit(file.path, "", "the patch makes this file, but the tree has it already")
        found = _misfit_in(file, _lines(text or ""))
        if found:
            return found
    return None


def _lines(text: str) -> list[str]:
    """Only a newline ends a line here: source may hold form feeds."""
    return text.removesuffix("\n").split("\n") if text else []


def _misfit_in(file: FileDiff, lines: list[str]) -> Misfit | None:
    begin, shift = 0, 0
    for hunk in file.hunks:
        at = _place(lines, hunk.wants, begin, hunk.start - 1 + shift)
        if at is None:
            return _told(file.path, hunk, lines, hunk.start - 1 + shift)
        begin, shift = at + len(hunk.wants), at - (hunk.start - 1)
    return None


def _place(lines: list[str], wants: tuple[str, ...], begin: int, guess: int) -> int | None:
    """Where the wanted lines are, nearest to the guess; None when they are not after `begin`."""
    size = len(wants)
    fits = [at for at in range(begin, len(lines) - size + 1) if tuple(lines[at : at + size]) == wants]
    return min(fits, key=lambda at: abs(at - guess)) if fits else (guess if not wants else None)


def _told(path: str, hunk: Hunk, lines: list[str], guess: int) -> Misfit:
    size = len(hunk.wants)
    first, last = max(0, guess - _NEAR), min(len(lines), guess + size + _NEAR)
    starts = range(first, max(first + 1, last - size + 1))
    at = max(starts, key=lambda s: (_likeness(hunk.wants, lines[s : s + size]), -abs(s - guess)))
    there = lines[at : at + size]
    differences = [d for d in difflib.ndiff(list(hunk.wants), there) if not d.startswith("?")]
    problem = f"expected (-), and what the tree has from line {at + 1} on (+):"
    return Misfit(path, hunk.header, problem, at + 1, tuple(differences))


def _likeness(wants: tuple[str, ...], there: list[str]) -> int:
    return sum(a == b for a, b in zip(wants, there, strict=False)) + len(set(wants) & set(there))


def _files(lines: list[str], strip: int) -> Iterator[FileDiff]:
    """Files begin with git's header, or with the two lines `---` and `+++` alone, as diff(1) writes them."""
    path, creates, hunks = "", False, list[Hunk]()
    at = 0
    while at < len(lines):
        line, below = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
        git, old, new = _GIT.match(line), _OLD.match(line), _NEW.match(below)
        if git or (old and new and hunks):
            if path:
                yield FileDiff(path, creates, tuple(hunks))
            path, creates, hunks = git[1] if git else "", False, []
        if old and new:
            path, creates = _named(old[1], new[1], strip), _bare(old[1]) == _NOWHERE
            at += 2
        elif match := _HUNK.match(line):
            hunk, at = _hunk(lines, at, match)
            hunks.append(hunk)
        else:
            creates = creates or line.startswith("new file mode")
            at += 1
    if path:
        yield FileDiff(path, creates, tuple(hunks))


def _named(old: str, new: str, strip: int) -> str:
    """The path as git takes it: without its first parts, of the two names the one that is no copy put aside."""
    whole = [name for text in (old, new) if (name := _bare(text)) != _NOWHERE]
    names = [name.split("/", strip)[-1] for name in whole]
    return min(names, key=len) if names else ""


def _bare(name: str) -> str:
    """A name without the date that diff(1) writes behind it, and without git's quotes."""
    return re.sub(r"\s+\d{4}-\d\d-\d\d .*$", "", name.partition("\t")[0]).strip().strip('"')


def _hunk(lines: list[str], at: int, match: re.Match[str]) -> tuple[Hunk, int]:
    """The hunk at a header, and the index after it. An editor may have cut the blank of an empty context line."""
    old, new = int(match[2] or 1), int(match[4] or 1)
    wants: list[str] = []
    index = at + 1
    while index < len(lines) and (old > 0 or new > 0):
        sign, rest = (lines[index][:1] or " "), lines[index][1:]
        index += 1
        if sign == "\\":
            continue
        if sign in " -":
            wants.append(rest)
            old -= 1
        if sign in " +":
            new -= 1
    return Hunk(match[0], int(match[1]), tuple(wants)), index
