# SPDX-License-Identifier: GPL-2.0-only
"""What the subject of a mail says of the patch in it: its number, its version, whether it is an answer. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

# How mail programs of the world mark answers and forwards.
_REPLY = re.compile(
    r"\s*(?:re|aw|antw|fwd?|wg|sv|回复|答复|回覆|答覆|转发|轉寄|返信|転送|ответ)\s*(?:\[\d+\]|\(\d+\)|\^\d+)?\s*[:\uff1a]",
    re.IGNORECASE,
)
# Words that are names of subsystems too: an answer only where the subject that is answered follows.
_RARE_REPLY = re.compile(
    r"\s*(?:ant|vs|vá|vl|tr|rv|rif|ref|r|i|odp|pd|res|enc|ynt|ilt|ki|doorst|bls|trs|atb|yan|отв|на)\s*[:\uff1a]"
    r"(?=\s*(?:\[|re\s*:))",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\s*\[([^\]\[]*(?:\[[^\]]*\][^\]\[]*)*)\]")
# Not a part of 6.1/6.6 (trees) or 2026/11/27; `1 of 3` is how Mercurial counts.
_COUNT = re.compile(r"(?<![\d./])(\d{1,4})\s*(?:/|\bof\b)\s*(\d{1,4})(?![\d./])", re.IGNORECASE)
_VERSION = re.compile(
    r"(?:(?<![a-z\d.])|(?<=patch)|(?<=rfc)|(?<=rft))v\.?(\d{1,3})(?:\.(\d{1,3}))?(?![\d.])", re.IGNORECASE
)
_TAGGED = re.compile(r"patch|\brfc|\brft", re.IGNORECASE)
_RESEND = re.compile(r"\b(?:re-?sen[dt]|re-?post)", re.IGNORECASE)
_PULL = re.compile(r"\bpull\b", re.IGNORECASE)


@dataclass(frozen=True)
class Subject:
    """A subject, read. number, total: of the series, 0 when it has none; is_tagged: it says that it is a patch."""

    title: str
    number: int = 0
    total: int = 0
    version: tuple[int, int] = (1, 0)
    is_reply: bool = False
    is_tagged: bool = False
    is_resend: bool = False
    is_pull: bool = False

    @property
    def is_cover(self) -> bool:
        return self.total > 0 and self.number == 0


def parse_subject(raw: str) -> Subject:
    """The parts of a subject, `Re: [PATCH net-next v3 02/11] tcp: words`."""
    rest, brackets, is_reply = " ".join(raw.split()), list[str](), False
    while True:
        if not _is_tag(brackets) and (reply := _REPLY.match(rest) or _RARE_REPLY.match(rest)):
            rest, is_reply = rest[reply.end() :], True
        elif bracket := _BRACKET.match(rest):
            rest = rest[bracket.end() :]
            brackets.append(bracket[1])
        else:
            break
    prefix = " ".join(brackets)
    number, total = _count(brackets)
    return Subject(
        title=rest.strip(),
        number=number,
        total=total,
        version=_version(prefix),
        is_reply=is_reply,
        is_tagged=_is_tag(brackets),
        is_resend=_RESEND.search(prefix) is not None,
        is_pull=_PULL.search(prefix) is not None,
    )


def _is_tag(brackets: list[str]) -> bool:
    """Whether the brackets say that it is a patch; `[EXT]` of a mail gateway does not."""
    return _count(brackets)[1] > 0 or any(_TAGGED.search(text) for text in brackets)


def _count(brackets: list[str]) -> tuple[int, int]:
    """Of the first bracket that has a count, the last: `[PATCH 6.1/6.6 2/3]`."""
    for text in brackets:
        if found := [(int(m[1]), int(m[2])) for m in _COUNT.finditer(text) if int(m[2]) > 0]:
            return found[-1]
    return 0, 0


def _version(prefix: str) -> tuple[int, int]:
    """`v3`; `v2.1` is later than v2. Beside a plain one, `v6.12` names a tree."""
    found = [(int(m[1]), int(m[2] or 0)) for m in _VERSION.finditer(prefix)]
    plain = [version for version in found if version[1] == 0]
    return (plain or found or [(1, 0)])[-1]
