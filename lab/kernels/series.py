# SPDX-License-Identifier: GPL-2.0-only
"""A patch series out of mails, as a mailing list delivers it or `git format-patch` writes it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.parser import BytesParser

from lab.errors import BadInput
from lab.host.filecache import key_of

_FROM_LINE = re.compile(rb"^From \S.*\d{4}\r?\n", re.MULTILINE)
_DATED = re.compile(rb"From \S+ +[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}\r?\n")
_ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_FROM_AT_START = re.compile(r"^(>*From )", re.MULTILINE)
_REPLY = re.compile(r"\s*(re|aw|fwd?)\s*:", re.IGNORECASE)
_PREFIX = re.compile(r"\[([^\]]*)\]\s*")
_COUNT = re.compile(r"\b(\d+)/(\d+)\b")
_VERSION = re.compile(r"\bv(\d+)\b", re.IGNORECASE)
_DIFF = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
_IN_BODY_FROM = re.compile(r"From: (.+)\n\n*")
_TRAILER = re.compile(r"([A-Z][A-Za-z-]*): (.+)")


@dataclass(frozen=True)
class Patch:
    """One patch. source: where it was read; number, total: as the subject's prefix has them, 0 when it has none."""

    subject: str
    author: str
    message: str
    diff: str
    source: str
    number: int = 0
    total: int = 0
    version: int = 1

    def trailer(self, name: str) -> str:
        """The value of a trailer of the message, "" when it has none. A trailer may go on in indented lines."""
        unfolded = re.sub(r"\n[ \t]+", " ", self.message)
        found = [m[2] for m in map(_TRAILER.fullmatch, unfolded.splitlines()) if m and m[1] == name]
        return found[-1].strip() if found else ""


@dataclass(frozen=True)
class Series:
    """Patches in the order in which they apply."""

    patches: tuple[Patch, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same patches with the same messages, wherever they were read; "" for no patch."""
        parts = [part for p in self.patches for part in (p.subject, p.author, p.message, _raw(p.diff))]
        return key_of(*parts) if parts else ""

    def __add__(self, other: Series) -> Series:
        return Series(self.patches + other.patches)


def from_mbox(data: bytes, source: str) -> Series:
    """The series in an mbox, in the order of its numbers; covers and replies are left out. Raises BadInput."""
    mails = list(_mails(data))
    patches = [p for n, mail in enumerate(mails, start=1) if (p := _patch(mail, f"{source}, message {n}")) is not None]
    if not patches:
        raise BadInput([f"{source}: there is no patch in it ({len(mails)} messages)."], hint="git format-patch, b4 am")
    return Series(_in_order(patches, source))


def from_files(files: Iterable[tuple[str, bytes]]) -> Series:
    """The series of a directory's patch files (name, content), in the order of their names. Raises BadInput."""
    patches, problems = [], []
    for name, data in sorted(files):
        found = [p for mail in _mails(data) if (p := _patch(mail, name)) is not None]
        patches += found
        if not found:
            problems.append(f"{name}: there is no patch in it.")
    if problems:
        raise BadInput(problems, hint="git format-patch writes such files")
    return Series(tuple(patches))


def _mails(data: bytes) -> Iterator[EmailMessage]:
    """Messages of an mbox; text that does not begin like one is a message by itself.

    As for git-mailsplit, a line with sender and date begins a message also where no empty line is before it: patches
    put together with cat(1) need not have one.
    """
    cuts = [m for m in _FROM_LINE.finditer(data) if _begins_a_mail(data, m)]
    starts = [m.end() for m in cuts] if cuts and cuts[0].start() == 0 else [0, *(m.end() for m in cuts)]
    ends = [m.start() for m in cuts if m.start() > 0] + [len(data)]
    parser = BytesParser(policy=policy.default)
    for start, end in zip(starts, ends, strict=True):
        chunk = _ESCAPED_FROM.sub(rb"\1", data[start:end])
        if _is_bare_diff(chunk):
            chunk = b"\n" + chunk
        message = parser.parsebytes(chunk)
        if isinstance(message, EmailMessage):
            yield message


def _begins_a_mail(data: bytes, line: re.Match[bytes]) -> bool:
    before = data[max(0, line.start() - 4) : line.start()]
    return not before or before.endswith((b"\n\n", b"\r\n\r\n")) or _DATED.fullmatch(line[0]) is not None


def _is_bare_diff(chunk: bytes) -> bool:
    """A diff without any mail around it would be taken for broken headers."""
    return chunk.startswith((b"diff --git ", b"--- "))


def _patch(mail: EmailMessage, source: str) -> Patch | None:
    """The patch in a mail; None for a reply, a cover letter and everything else."""
    subject = re.sub(r"\s*\n\s*", " ", str(mail.get("Subject", ""))).strip()
    body, charset = _body(mail)
    text = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    at = _DIFF.search(text)
    if _REPLY.match(subject) or at is None:
        return None
    prefix = "".join(_PREFIX.findall(subject))
    count, version = _COUNT.search(prefix), _VERSION.search(prefix)
    message = _raw(_above_line(text[: at.start()])).decode(charset, "replace")
    author = str(mail.get("From", "")) or "nobody <nobody@localhost>"
    if own := _IN_BODY_FROM.match(message):
        author, message = own[1], message[own.end() :]
    return Patch(
        subject=_PREFIX.sub("", subject).strip() or f"({source})",
        author=author,
        message=message.strip() + "\n" if message.strip() else "",
        diff=text[at.start() :].rstrip("\n") + "\n",
        source=source,
        number=int(count[1]) if count else 0,
        total=int(count[2]) if count else 0,
        version=int(version[1]) if version else 1,
    )


def _body(mail: EmailMessage) -> tuple[bytes, str]:
    """The text of a mail, its transfer encoding undone, and its charset."""
    part = mail.get_body(("plain",)) or mail
    payload = part.get_payload(decode=True)
    charset = part.get_content_charset() or "utf-8"
    try:
        b"".decode(charset)
    except LookupError:
        charset = "utf-8"
    return (payload if isinstance(payload, bytes) else b""), charset


def _above_line(text: str) -> str:
    """The commit message: what is above the line `---`."""
    return re.split(r"^---\s*$", text, maxsplit=1, flags=re.MULTILINE)[0]


def _in_order(patches: Sequence[Patch], source: str) -> tuple[Patch, ...]:
    """By number, the newest version alone. Raises BadInput when one is missing, or there twice."""
    newest = max(p.version for p in patches)
    chosen = [p for p in patches if p.version == newest]
    if all(p.total == 0 for p in chosen):
        return tuple(chosen)
    total = max(p.total for p in chosen)
    numbers = [p.number for p in chosen]
    problems = [f"{source}: patch {n}/{total} is missing." for n in range(1, total + 1) if n not in numbers]
    problems += [
        f"{source}: patch {n}/{total} is there {numbers.count(n)} times."
        for n in sorted(set(numbers))
        if numbers.count(n) > 1
    ]
    if problems:
        raise BadInput(problems, hint="an mbox holds one whole series; b4 am makes one from a thread")
    return tuple(sorted(chosen, key=lambda p: p.number))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def mbox(series: Series) -> bytes:
    """The series as one mbox, as it was applied; reading it gives the same series again, but for the sources."""
    out = []
    for n, p in enumerate(series.patches, start=1):
        subject = p.subject if p.subject.isascii() else Header(p.subject, "utf-8").encode(maxlinelen=900)
        head = f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: lab <lab@localhost>\n"
        head += f"Subject: [PATCH {n}/{len(series.patches)}] {subject}\n"
        head += "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
        message = _FROM_AT_START.sub(r">\1", p.message)
        out.append(_raw(f"{head}\nFrom: {p.author}\n\n{message}---\n\n{p.diff}\n"))
    return b"".join(out)
