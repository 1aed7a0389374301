# SPDX-License-Identifier: GPL-2.0-only
"""Mails out of an mbox. git takes it apart and decodes each mail, by what `git am` uses: mailsplit and mailinfo."""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import parseaddr
from pathlib import Path

from lab.errors import CommandFailed
from lab.host.commands import run
from lab.kernels.choosing import Mail
from lab.kernels.plain import diff_of
from lab.kernels.subjects import parse_subject

GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
"""What a user has configured decides nothing here."""

_FROM_LINE = re.compile(rb"^From .*\d\d:\d\d.*\d{4}", re.MULTILINE)
_ESCAPED_FROM = re.compile(r"^>(>*From )", re.MULTILINE)
_HEADER = re.compile(rb"[!-9;-~]+:")


def is_mail(data: bytes) -> bool:
    """As `git am` tells mails from bare diffs: a From line, or headers up to the first empty line."""
    if data.startswith((b"From ", b"From: ")):
        return True
    head = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0]
    lines = head.splitlines()
    return bool(lines) and all(_HEADER.match(line) or line[:1] in b" \t" for line in lines)


def first_from(data: bytes) -> int:
    """Where the first line stands that begins a mail of an mbox; -1 for none."""
    found = _FROM_LINE.search(data)
    return found.start() if found else -1


def mails_in(data: bytes, source: str, work: Path) -> list[Mail]:
    """The mails of an mbox, or the one mail that the text is. Raises CommandFailed."""
    if b"\nFrom " not in data:
        return [_mail(data.replace(b"\r\n", b"\n"), source, work)]
    whole, parts = work / "mbox", work / "parts"
    whole.write_bytes(data)
    parts.mkdir()
    run(["git", "mailsplit", "-d6", f"-o{parts}", "-b", "--", str(whole)], cwd=work, env=GIT)
    files = sorted(parts.iterdir())
    read = [_mail(f.read_bytes(), f"{source}, message {n}", work) for n, f in enumerate(files, start=1)]
    for file in files:
        file.unlink()
    parts.rmdir()
    return read


def _mail(data: bytes, source: str, work: Path) -> Mail:
    """One mail. Charsets that nobody knows cost its words, not the patch: `git am --no-utf8` takes it too."""
    plain = _plain_part(data)
    try:
        info = _mailinfo(plain, work)
    except CommandFailed:
        info = _mailinfo(plain, work, "-n")
    facts = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    message = _ESCAPED_FROM.sub(r"\1", (work / "message").read_bytes().decode("utf-8", "replace"))
    diff = diff_of((work / "patch").read_bytes().decode("utf-8", "surrogateescape"))
    headers = BytesHeaderParser(policy=compat32).parsebytes(re.sub(rb"\AFrom .*\n", b"", data))
    name, address = facts.get("Author", ""), facts.get("Email", "")
    return Mail(
        subject=parse_subject(facts.get("Subject", "")),
        sender=parseaddr(str(headers.get("From", "")))[1].lower(),
        author=f"{name} <{address}>" if name or address else "nobody <nobody@localhost>",
        message=f"{message.strip()}\n" if message.strip() else "",
        diff=diff,
        source=source,
        answers="In-Reply-To" in headers or "References" in headers,
    )


def _mailinfo(data: bytes, work: Path, *options: str) -> str:
    argv = ["git", "mailinfo", "-k", "--quoted-cr=strip", *options, "message", "patch"]
    return run(argv, cwd=work, env=GIT, data=data).decode("utf-8", "replace")


def _plain_part(data: bytes) -> bytes:
    """Of a mail in plain text and HTML the text alone, as b4 takes it: git would add the HTML to the patch."""
    headers = BytesHeaderParser(policy=compat32).parsebytes(re.sub(rb"\AFrom .*\n", b"", data))
    boundary = headers.get_boundary()
    if headers.get_content_type() != "multipart/alternative" or not boundary:
        return data
    head, _, body = data.partition(b"\n\n")
    mark = b"--" + boundary.encode("ascii", "surrogateescape")
    for part in body.split(mark)[1:]:
        part_head, _, text = part.removeprefix(b"\n").partition(b"\n\n")
        kind = BytesHeaderParser(policy=compat32).parsebytes(part_head + b"\n\n")
        if kind.get_content_type() == "text/plain":
            kept = re.sub(rb"(?im)^content-[^\n]*\n(?:[ \t][^\n]*\n)*", b"", head + b"\n")
            return kept + part_head + b"\n\n" + text
    return data
