# SPDX-License-Identifier: GPL-2.0-only
"""A mail that tells what changed: plain text that a list of the kernel takes, 72 columns, no trailing blanks."""

from __future__ import annotations

import hashlib
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default

from lab.report.wording import count
from lab.text.words import one_line, printable

WIDTH = 72
EVIDENCE = 10
"""Lines of evidence of one change."""
IN_FULL = 5
"""Changes that are told in full; of the others a line each."""
SHORT = 30
"""Others that have a line."""
POLICY = default.clone(cte_type="8bit", max_line_length=998)
"""Of a mail on this host: lines end as those of its files, and its text is readable as it lies there."""
_NAMES = 12
"""Columns of what a line is about."""


@dataclass(frozen=True)
class Side:
    """A kernel on one side of a change: its name, what describes it, and `fail:runs` there."""

    kernel: str
    described: tuple[str, ...]
    tally: str


@dataclass(frozen=True)
class News:
    """One change.

    kind       as `lab compare` calls it;  where  case and NIC profile;  worse  whether it got worse
    word, was  what it says now, and what it said
    good, bad  the kernels on both sides, as far as there are any
    since      the kernel with which it began;  first  when that was seen
    why        one sentence;  evidence  lines from the bundle;  sure  how likely that is by chance
    reproduce  a command;  bisect  one that finds the commit, "" where there is nothing between the two sides
    """

    kind: str
    where: str
    word: str
    was: str
    since: str
    first: str
    why: str = ""
    worse: bool = True
    good: Side | None = None
    bad: Side | None = None
    evidence: tuple[str, ...] = ()
    sure: str = ""
    reproduce: str = ""
    bisect: str = ""


@dataclass(frozen=True)
class Letter:
    """All that one night tells of one thing that is tested.

    about   what is tested;  still  cells that fail as before, the known ones among them
    notes   what else is to be said: known issues that are seen no more, cells that were not reached
    """

    about: str
    news: tuple[News, ...]
    still: int = 0
    known: int = 0
    notes: tuple[str, ...] = ()
    reported_by: str = ""
    report: str = ""


def subject(letter: Letter) -> str:
    """What changed, and since which kernel."""
    if not letter.news:
        return one_line(f"{letter.about}: {letter.notes[0] if letter.notes else 'nothing new'}", 120)
    first, *others = letter.news
    more = f" (and {len(others)} more)" if others else ""
    since = f" since {first.since}" if first.since else ""
    return one_line(f"{first.where}: {first.kind}{since}", 120) + more


def body(letter: Letter) -> str:
    """The text of the mail."""
    lines = [*_wrapped(subject(letter)), ""]
    for news in letter.news[:IN_FULL]:
        lines += [*_told(news), ""]
    others = letter.news[IN_FULL:]
    lines += [line for news in others[:SHORT] for line in _wrapped(_short(news), "* ", "  ")]
    lines += [f"* and {len(others) - SHORT} more"] if len(others) > SHORT else []
    lines += [""] if others else []
    lines += [line for note in letter.notes for line in _wrapped(note, "* ", "  ")]
    lines += [""] if letter.notes else []
    if letter.reported_by and any(news.worse for news in letter.news):
        lines += [f"Reported-by: {one_line(letter.reported_by, 200)}", ""]  # a trailer is one line, however long
    known = f" ({letter.known} of them known)" if letter.known else ""
    lines.append(f"Known and still there: {letter.still}{known}")
    lines += _wrapped(f"Report: {letter.report}", "", "  ") if letter.report else []
    return "\n".join(line.rstrip() for line in lines) + "\n"


def message(letter: Letter, to: Iterable[str], sender: str, date: str) -> EmailMessage:
    """The mail with its head. The same letter of the same date has the same Message-ID, so that one which is sent twice
    after a crash is one to whoever reads it."""
    return plain(subject(letter), body(letter), to, sender, date)


def plain(about: str, text: str, to: Iterable[str], sender: str, date: str) -> EmailMessage:
    """A mail of plain text."""
    mail = EmailMessage(policy=POLICY)
    mail["Subject"] = f"[lab] {one_line(about)}"
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = date
    mail["Message-ID"] = message_id(text, sender, date)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers it
    mail.set_content(text, cte="7bit" if text.isascii() else "8bit")
    return mail


def message_id(text: str, sender: str, date: str) -> str:
    told = hashlib.sha256("\0".join((text, sender, date)).encode()).hexdigest()[:32]
    host = sender.rpartition("@")[2].strip("> ") or "localhost"
    return f"<lab-{told}@{host}>"


def command(text: str, indent: str = "    ") -> list[str]:
    """A command over as many lines as it takes, to be pasted as it is: a shell reads the same words of it.

    It may come from a bundle, so its words are quoted anew: it stays one command.
    """
    try:
        words = shlex.split(one_line(text))
    except ValueError:
        return []
    lines, line = list[str](), indent
    for word in words:
        told = shlex.quote(word)
        if len(line) + len(told) + 3 <= WIDTH:
            line += told if line == indent else f" {told}"
            continue
        lines += [f"{line} \\"] if line != indent else []
        line = f"{indent}  " if lines else indent
        if len(line) + len(told) + 2 > WIDTH:
            *begun, told = _pieces(word)
            lines += [f"{piece}\\" for piece in begun]
            line = ""
        line += told
    return [*lines, line]


def _pieces(word: str) -> list[str]:
    """A word that is longer than a line: pieces that a shell joins again, each of them at the beginning of a line."""
    told, rest = list[str](), word
    while rest:
        size = next(n for n in range(WIDTH - 2, 0, -1) if len(shlex.quote(rest[:n])) <= WIDTH - 2)
        told.append(shlex.quote(rest[:size]))
        rest = rest[size:]
    return told


def _short(news: News) -> str:
    since = f" since {news.since}" if news.since else ""
    return f"{news.kind}: {news.where}: {news.word}{since}. {news.why}"


def _told(news: News) -> Iterator[str]:
    was = f", was {news.was}" if news.was else ""
    yield from _entry("What", f"{news.kind}: {news.where} is {news.word}{was}")
    yield from _entry("Since", news.since)
    yield from _side("Bad", news.bad)
    yield from _side("Good", news.good)
    yield from _entry("First seen", news.first)
    yield from _entry("fail:runs", _tallies(news))
    yield from _entry("By chance", news.sure)
    yield from _entry("Why", news.why)
    if news.evidence:
        yield ""
        yield from _evidence(news.evidence)
    for name, text in (("Reproduce:", news.reproduce), ("Bisect:", news.bisect)):
        if text and (lines := command(text)):
            yield from ("", name, *lines)


def _tallies(news: News) -> str:
    sides = (("bad", news.bad), ("good", news.good))
    return ", ".join(f"{side.tally} {name}" for name, side in sides if side is not None)


def _side(name: str, side: Side | None) -> Iterator[str]:
    if side is None:
        return
    yield from _entry(name, side.kernel)
    for line in side.described:
        yield from _entry("", line)


def _entry(name: str, text: str) -> Iterator[str]:
    if text:
        yield from _wrapped(text, name.ljust(_NAMES), " " * _NAMES)


def _evidence(lines: Iterable[str]) -> Iterator[str]:
    told = [line for text in lines for line in _wrapped(text, "| ", "|   ")]
    yield "Evidence:"
    yield from told[:EVIDENCE]
    if len(told) > EVIDENCE:
        yield f"  ({count(len(told) - EVIDENCE, 'more line')})"


def _wrapped(text: str, first: str = "", then: str = "") -> list[str]:
    clean = printable(one_line(text, 1000))
    return textwrap.wrap(clean, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
