# SPDX-License-Identifier: GPL-2.0-only
"""Patches that came without a mail: bare diffs, and what `git log -p` and `git show` print. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.kernels.choosing import Mail
from lab.kernels.subjects import Subject

_DIFF = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
_GIT = re.compile(r"^diff --git (\S+) (\S+)$", re.MULTILINE)
_COMMIT = re.compile(r"^commit [0-9a-f]{7,64}\b.*\n", re.MULTILINE)
_AUTHOR = re.compile(r"^(?:Author|# User):?\s+(\S.*)$", re.MULTILINE)
_BLOBS = re.compile(r"^diff --git a/(\S+) b/\S+\n(?:\S.*\n)*?index ([0-9a-f]+)\.\.([0-9a-f]+)", re.MULTILINE)
HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
"""Head of a hunk, with how many lines it has of the old file and of the new one, "" for one."""
_NO_MESSAGE = re.compile(r"^---\s*$", re.MULTILINE)


def diff_of(text: str) -> str:
    """From the first diff on, "" when there is none; without empty lines at the end, unless a hunk needs them."""
    at = _DIFF.search(text)
    if at is None:
        return ""
    diff = text[at.start() :]
    shorter = diff.rstrip("\n") + "\n"
    missing = _missing_lines(shorter)
    return shorter + "\n" * min(missing, len(diff) - len(shorter))


def is_without_prefix(diff: str) -> bool:
    """Whether git wrote the paths without a/ and b/ (diff.noprefix): both are the same then, to the first part."""
    named = _GIT.search(diff)
    return named is not None and named[1] == named[2]


def patches_in(text: str, source: str) -> list[Mail]:
    """The patches of a text that is no mail, in the order in which they apply."""
    commits = list(_COMMIT.finditer(text))
    if not commits or _DIFF.search(text[: commits[0].start()]):
        return [_bare(text, source)]
    ends = [*(m.start() for m in commits[1:]), len(text)]
    found = [
        _logged(text[m.end() : end], f"{source}, {m[0][:19].strip()}") for m, end in zip(commits, ends, strict=True)
    ]
    with_diff = [m for m in found if m.diff]
    return with_diff[::-1] if _is_newest_first(with_diff) else with_diff


def _bare(text: str, source: str) -> Mail:
    diff, above = diff_of(text), _words(_above(text))
    words = [
        line for line in above.splitlines() if line.strip() and not line.startswith(("#", "Index:", "===", "diff "))
    ]
    message = "\n".join(words)
    author = _AUTHOR.search(above)
    return Mail(
        subject=Subject(title=words[0].strip()[:100] if words else ""),
        sender="",
        author=author[1] if author else "nobody <nobody@localhost>",
        message=f"{message}\n" if message else "",
        diff=diff,
        source=source,
    )


def _logged(text: str, source: str) -> Mail:
    """A commit as `git log -p` prints it: its message is indented."""
    above = _words(_above(text))
    words = [line[4:] for line in above.splitlines() if line.startswith("    ")]
    author = _AUTHOR.search(above)
    title, _, message = "\n".join(words).partition("\n")
    return Mail(
        subject=Subject(title=title.strip()),
        sender="",
        author=author[1] if author else "nobody <nobody@localhost>",
        message=f"{message.strip()}\n" if message.strip() else "",
        diff=diff_of(text),
        source=source,
    )


def _words(text: str) -> str:
    """Text for people: what is no UTF-8 in it is only marked. The diff keeps every byte."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _above(text: str) -> str:
    at = _DIFF.search(text)
    return _NO_MESSAGE.split(text[: at.start()] if at else text, maxsplit=1)[0]


def _is_newest_first(commits: Sequence[Mail]) -> bool:
    """Whether a file that one commit leaves is the one that the commit above it in the text began with."""
    last = dict[str, tuple[str, str]]()
    for commit in commits:
        for path, before, after in _BLOBS.findall(commit.diff):
            above = last.get(path)
            if above and above[0][:7] == after[:7] and above[1][:7] != before[:7]:
                return True
            last[path] = (before, after)
    return False


def _missing_lines(diff: str) -> int:
    """How many lines the last hunk lacks, as far as they may be empty ones of the context."""
    lines = diff.split("\n")[:-1]
    starts = [n for n, line in enumerate(lines) if HUNK.match(line)]
    if not starts:
        return 0
    header = HUNK.match(lines[starts[-1]])
    old, new = (int(count or 1) for count in header.groups()) if header else (0, 0)
    body = [line[:1] for line in lines[starts[-1] + 1 :]]
    return max(0, min(old - sum(s in " -" or s == "" for s in body), new - sum(s in " +" or s == "" for s in body)))
