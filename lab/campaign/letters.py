# SPDX-License-Identifier: GPL-2.0-only
"""What a night writes of one target: the mail, the table of its report, and a few words for the log."""

from __future__ import annotations

import email.parser
import getpass
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import cast

from lab.archive.compare import Change, Kind, worst_first
from lab.archive.index import Index
from lab.archive.letter import Bisect, news_of
from lab.campaign.tracks import View
from lab.report.mail import POLICY, Letter, message, plain
from lab.report.wording import count
from lab.spec.night import Mail
from lab.text.words import one_line

__all__ = ["Letter", "Written", "culprit_bytes", "letter_of", "mail_bytes", "read_mail", "words_of", "written"]


@dataclass(frozen=True)
class Written:
    """A letter, and the rows of the night's report beside it. worse: whether something got worse."""

    letter: Letter
    table: str
    worse: bool


def letter_of(
    index: Index, root: Path, about: str, view: View, notes: Sequence[str], bisect: Bisect, report: str
) -> Letter:
    """All that is to be told of a target."""
    told = worst_first(seen.change for seen in view.seen.values() if seen.news)
    news = tuple(news_of(index, root, _as_told(change), bisect) for change in told)
    rest = [seen.change for seen in view.seen.values() if not seen.news]
    still = [change for change in rest if change.known or (change.kind is Kind.STILL)]
    return Letter(about, news, len(still), sum(bool(c.known) for c in still), tuple(notes), report=report)


def _as_told(change: Change) -> Change:
    """A failure that was known, and is so no more, is told as one."""
    return replace(change, kind=Kind.NEW_FAIL) if change.kind is Kind.STILL else change


def written(letter: Letter, view: View) -> Written:
    worse = any(news.worse for news in letter.news)
    return Written(letter, _table(letter.about, view), worse)


def _table(about: str, view: View) -> str:
    """Markdown."""
    lines = [f"## {_cell(about)}", "", "| track | tonight | before | what |", "|---|---|---|---|"]
    for track, seen in sorted(view.seen.items()):
        change = seen.change
        what = [str(change.kind), "told" if seen.news else "", *(f"known: {issue}" for issue in change.known)]
        if seen.again:
            what.append(f"not sure: {count(seen.again, 'more run')} wanted")
        elif change.kind is Kind.NEW_FAIL and not seen.news and not change.known:
            what.append("did not come again")
        run = change.witness
        why = f" {run.why}" if run is not None and run.why and change.kind is not Kind.SAME else ""
        told = ", ".join(filter(None, what)) + why
        lines.append(f"| {_cell(track)} | {change.after} | {change.before} | {_cell(told)} |")
    lines += [f"| {_cell(track)} | not reached | | |" for track in view.lacking]
    return "\n".join([*lines, "", ""])


def _cell(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def words_of(kernel: str, view: View, letter: Letter) -> str:
    """A night of one target in one line."""
    changed = Counter(news.kind for news in letter.news)
    told = [f"{number} {kind}" for kind, number in changed.items()] + [count(len(letter.notes), "note")] * bool(
        letter.notes
    )
    unsure = sum(bool(seen.again) for seen in view.seen.values())
    more = [f"{letter.still} still failing"] if letter.still else []
    more += [f"{letter.known} of them known"] if letter.known else []
    more += [f"{unsure} not sure"] if unsure else []
    more += [f"{len(view.lacking)} not reached"] if view.lacking else []
    runs = f"{count(len(view.runs), 'run')} on {kernel}"
    return one_line(f"{runs}, {', '.join([*(told or ['nothing new']), *more])}")


def mail_bytes(letter: Letter, mail: Mail, began: str) -> bytes:
    """The mail as it is handed over, the same however often it is made of the same letter and night."""
    return bytes(message(letter, *_head(mail, began)))


def culprit_bytes(text: str, mail: Mail, began: str) -> bytes:
    """The report of a search, whose first line is its subject, as a mail."""
    subject, _, body = text.partition("\n\n")
    return bytes(plain(subject.removeprefix("Subject: "), body, *_head(mail, began)))


def _head(mail: Mail, began: str) -> tuple[tuple[str, ...], str, str]:
    """To, From and Date."""
    sender = mail.sender or f"{getpass.getuser()}@{socket.gethostname()}"
    return mail.to or (sender,), sender, format_datetime(datetime.fromisoformat(began))


def read_mail(path: Path) -> EmailMessage:
    """A mail that was written. Raises OSError."""
    parser = email.parser.BytesParser(cast("Callable[..., EmailMessage]", EmailMessage), policy=POLICY)
    return parser.parsebytes(path.read_bytes())
