# SPDX-License-Identifier: GPL-2.0-only
"""A patch series, and the file in which the lab keeps one. No I/O; `lab.kernels.delivered` reads what others wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header

from lab.host.filecache import key_of

_FROM_AT_START = re.compile(r"^(>*From )", re.MULTILINE)
_ESCAPED_FROM = re.compile(r"^>(>*From )", re.MULTILINE)
_TRAILER = re.compile(r"([A-Z][A-Za-z-]*): (.+)")
_BEGIN = f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: lab <lab@localhost>\n"
_APPLY = "X-Git-Apply: "


@dataclass(frozen=True)
class Patch:
    """One patch. source: where it was read; number, total: as the subject's prefix has them, 0 when it has none.

    options: for git apply, as a quilt series gives them (`-p0`, `-R`).
    """

    subject: str
    author: str
    message: str
    diff: str
    source: str
    number: int = 0
    total: int = 0
    version: int = 1
    options: tuple[str, ...] = ()

    def trailer(self, name: str) -> str:
        """The value of a trailer of the message, "" when it has none. A trailer may go on in indented lines."""
        unfolded = re.sub(r"\n[ \t]+", " ", self.message)
        found = [m[2] for m in map(_TRAILER.fullmatch, unfolded.splitlines()) if m and m[1] == name]
        return found[-1].strip() if found else ""


@dataclass(frozen=True)
class Series:
    """Patches in the order in which they apply. left_out: what lay beside them and is none of it, in words."""

    patches: tuple[Patch, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same patches with the same messages, wherever they were read; "" for no patch."""
        parts = list[str | bytes]()
        for p in self.patches:
            parts += [p.subject, p.author, p.message, raw(p.diff), *p.options]
        return key_of(*parts) if parts else ""

    def __add__(self, other: Series) -> Series:
        return Series(self.patches + other.patches, self.left_out + other.left_out)


def raw(text: str) -> bytes:
    """The bytes of a diff."""
    return text.encode("utf-8", "surrogateescape")


def mbox(series: Series) -> bytes:
    """The series as one mbox, as it was applied: for `kept_in`, and for git am."""
    out = []
    for n, p in enumerate(series.patches, start=1):
        is_plain = p.subject.isascii() and "=?" not in p.subject
        subject = p.subject if is_plain else Header(p.subject, "utf-8").encode(maxlinelen=900)
        head = f"{_BEGIN}Subject: [PATCH {n}/{len(series.patches)}] {subject}\n"
        head += "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
        head += f"{_APPLY}{' '.join(p.options)}\n" if p.options else ""
        message = _FROM_AT_START.sub(r">\1", p.message)
        out.append(raw(f"{head}\nFrom: {p.author}\n\n{message}---\n\n{p.diff}\n"))
    return b"".join(out)


def kept_in(data: bytes, source: str) -> Series:
    """The series that `mbox` wrote, with the same key. What was changed since gives another key, or no patch."""
    _, *parts = data.decode("utf-8", "surrogateescape").split(_BEGIN)
    return Series(tuple(p for n, part in enumerate(parts, start=1) if (p := _kept(part, f"{source}, message {n}"))))


def _kept(part: str, source: str) -> Patch | None:
    head, _, body = part.partition("\n\n")
    author, _, rest = body.removeprefix("From: ").partition("\n\n")
    message, mark, diff = f"\n{rest}".partition("\n---\n\n")
    lines = head.splitlines()
    subject = next((line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")), "")
    options = next((line.removeprefix(_APPLY) for line in lines if line.startswith(_APPLY)), "")
    if not mark:
        return None
    try:
        decoded = str(make_header(decode_header(subject.partition("] ")[2])))
    except (HeaderParseError, LookupError, UnicodeError):
        decoded = subject
    message = _ESCAPED_FROM.sub(r"\1", message[1:])
    message = f"{message}\n" if message else ""
    return Patch(decoded, author, message, diff.removesuffix("\n"), source, options=tuple(options.split()))
