# SPDX-License-Identifier: GPL-2.0-only
"""Which mails of a thread are the series. No I/O.

Nothing that has a diff is taken or left out in silence: what is no part of the series is named, and where it might be
one, it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import BadInput
from lab.kernels.series import Patch, Series
from lab.kernels.subjects import Subject

HINT = "b4 am MESSAGE-ID makes one series of a thread; or delete from the file what is not to be applied"
_SHOWN = 60


@dataclass(frozen=True)
class Mail:
    """A mail, read. sender: its address; answers: it says that it answers another; diff "" when it has none."""

    subject: Subject
    sender: str
    author: str
    message: str
    diff: str
    source: str
    answers: bool = False

    @property
    def told(self) -> str:
        """How a user finds it."""
        return f"{self.source} ({self.subject.title[:_SHOWN]!r} from {self.sender or 'nobody'})"

    def patch(self, options: tuple[str, ...] = ()) -> Patch:
        subject = self.subject
        title, major = subject.title or f"({self.source})", subject.version[0]
        return Patch(
            title, self.author, self.message, self.diff, self.source, subject.number, subject.total, major, options
        )


def chosen(mails: Sequence[Mail], source: str) -> Series:
    """The series in a thread, in the order of its numbers. Raises BadInput where that is not certain."""
    proposed = [m for m in mails if m.diff and not m.subject.is_cover and not m.subject.is_pull]
    left_out = [f"{m.told} is a cover letter" for m in mails if m.diff and m.subject.is_cover]
    left_out += [f"{m.told} asks for a pull" for m in mails if m.diff and m.subject.is_pull]
    own = [m for m in proposed if not m.subject.is_reply]
    if own:
        left_out += [f"{m.told} is an answer" for m in proposed if m.subject.is_reply]
    else:
        own = _answers_alone(proposed, source)
    if not own:
        return Series((), tuple(left_out))
    taken, others = _of_one_kind(own, source)
    if len(mails) == 1:  # one patch of a series, saved by itself
        return Series((taken[0].patch(),))
    ordered, older = (_numbered if taken[0].subject.total else _unnumbered)(taken, source)
    return Series(tuple(m.patch() for m in ordered), tuple(left_out + others + older))


def _answers_alone(proposed: Sequence[Mail], source: str) -> list[Mail]:
    """Answers are patches only where there is nothing else, and no doubt in which order."""
    numbers = [m.subject.number for m in proposed if m.subject.total]
    if len(proposed) < 2 or (len(numbers) == len(proposed) and len(set(numbers)) == len(numbers)):
        return list(proposed)
    told = [f"{source}: there are only answers in it: {m.told} is one with a diff." for m in proposed]
    raise BadInput(told, hint=HINT)


def _of_one_kind(own: Sequence[Mail], source: str) -> tuple[list[Mail], list[str]]:
    """Numbered mails where there are any, else those that say that they are patches, else all; and what is left out."""
    for marked in ([m for m in own if m.subject.total], [m for m in own if m.subject.is_tagged]):
        taken, strays = marked, [m for m in own if m not in marked]
        if not taken or not strays:
            continue
        newest = max(m.subject.version for m in taken)
        doubtful = [m for m in strays if _may_belong(m, taken, newest)]
        if doubtful:
            told = [f"{source}: {m.told} has a diff, and is no part of the series by its subject." for m in doubtful]
            raise BadInput(told, hint=HINT)
        return taken, [f"{m.told} is no part of the series by its subject" for m in strays]
    return list(own), []


def _may_belong(stray: Mail, taken: Sequence[Mail], newest: tuple[int, int]) -> bool:
    """What nobody sent as an answer was put there on purpose; a later version by the series' own sender counts."""
    is_numbered = taken[0].subject.total > 0
    if not stray.answers:
        return is_numbered
    return stray.subject.version > newest or (is_numbered and stray.sender in {m.sender for m in taken})


def _unnumbered(taken: Sequence[Mail], source: str) -> tuple[list[Mail], list[str]]:
    """In the order of the file; of several versions the newest."""
    newest = max(m.subject.version for m in taken)
    own = [m for m in taken if m.subject.version == newest]
    older = [m for m in taken if m.subject.version < newest]
    if older and not {m.sender for m in own} & {m.sender for m in older}:
        raise BadInput([f"{source}: {m.told} may be another's version of the series." for m in own], hint=HINT)
    first = own[0]
    strangers = [m for m in own[1:] if m.answers and not first.answers and m.sender != first.sender]
    if strangers:
        raise BadInput([f"{source}: {m.told} answers a patch of another sender." for m in strangers], hint=HINT)
    return _without_copies(own), [f"{m.told} is an older version" for m in older]


def _without_copies(mails: Sequence[Mail]) -> list[Mail]:
    found: dict[tuple[str, str], Mail] = {}
    for mail in mails:
        found.setdefault((mail.subject.title, _core(mail.diff)), mail)
    return list(found.values())


def _numbered(taken: Sequence[Mail], source: str) -> tuple[list[Mail], list[str]]:
    """By number, the newest version alone. Raises BadInput when one is missing, or another lies at the same number."""
    newest = max(m.subject.version for m in taken)
    own = [m for m in taken if m.subject.version == newest]
    older = [m for m in taken if m.subject.version < newest]
    totals = {m.subject.total for m in own}
    if len(totals) > 1:
        told = ", ".join(f"one of {t} (from {_first_of(own, t).told})" for t in sorted(totals))
        raise BadInput([f"{source}: there is more than one series in it: {told}."], hint=HINT)
    if older and totals != {m.subject.total for m in older} and not {m.sender for m in own} & {m.sender for m in older}:
        raise BadInput([f"{source}: {m.told} may be another's version of the series." for m in own], hint=HINT)
    total = totals.pop()
    at = {n: _copies([m for m in own if m.subject.number == n]) for n in {*range(1, total + 1), *_numbers(own)}}
    problems = [f"{source}: patch {n}/{total} is missing." for n in sorted(at) if not at[n]]
    problems += [
        f"{source}: patch {n}/{total} is there {len(at[n])} times: {', '.join(m.told for m in at[n])}."
        for n in sorted(at)
        if len(at[n]) > 1
    ]
    problems += [f"{source}: {m.told} is numbered {n}/{total}." for n in sorted(at) if n > total for m in at[n]]
    if problems:
        raise BadInput(problems, hint=HINT)
    return [at[n][0] for n in sorted(at)], [f"{m.told} is an older version" for m in older]


def _numbers(mails: Sequence[Mail]) -> list[int]:
    return [m.subject.number for m in mails]


def _first_of(mails: Sequence[Mail], total: int) -> Mail:
    return next(m for m in mails if m.subject.total == total)


def _copies(mails: Sequence[Mail]) -> list[Mail]:
    """What contends for one number: what was sent again counts instead of what it repeats, and the same only once."""
    again = [m for m in mails if m.subject.is_resend] or list(mails)
    return list({_core(m.diff): m for m in again}.values())


def _core(diff: str) -> str:
    """A diff without what lists and mailers add below it."""
    return diff.partition("\n-- \n")[0].rstrip("\n")
