# SPDX-License-Identifier: GPL-2.0-only
"""What a nightly remembers between its steps: one small record, written whole, so that a kill loses no step and no
step is done twice.

    results/.nightly/lock              held by the nightly that is at work: one at a time in a results folder
    results/.nightly/NAME/diary.json   what was told so far, and how far tonight got
    results/.nightly/NAME/NIGHT/       what tonight wrote: report-TARGET.md, mail-TARGET.eml, log
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from lab.campaign.standing import Standing
from lab.host.records import read_record, write_record

FOLDER = ".nightly"
DIARY = "diary.json"
FORMAT = 1
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Issue:
    """How often a known issue was met: `met` of `runs` that it is about, then `without` runs that did not meet it."""

    __pydantic_config__ = STRICT

    met: int = 0
    runs: int = 0
    without: int = 0
    told: bool = False


@dataclass(frozen=True)
class Book:
    """What was told of one target.

    judged  runs that began until then were looked at;  tracks  by CASE/NIC
    broken  why it could not be tested, as it was told; "" when it could
    """

    __pydantic_config__ = STRICT

    judged: str = ""
    tracks: Mapping[str, Standing] = field(default_factory=dict)
    issues: Mapping[str, Issue] = field(default_factory=dict)
    broken: str = ""


@dataclass(frozen=True)
class Post:
    """A mail that was written: the file it lies in, and whether it was handed over."""

    __pydantic_config__ = STRICT

    file: str
    sent: bool = False


@dataclass(frozen=True)
class Night:
    """How far a night got.

    spent    seconds of work, of all the processes that had a part in it
    targets  that are done, with a few words each;  worse  whether something got worse;  failed  targets not tested
    searches commands that look for what brought a new failure, each with what came of it, "" as long as none has
    """

    __pydantic_config__ = STRICT

    name: str
    began: str
    spent: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    targets: Mapping[str, str] = field(default_factory=dict)
    worse: bool = False
    failed: tuple[str, ...] = ()
    searches: Mapping[str, str] = field(default_factory=dict)
    ended: bool = False


@dataclass(frozen=True)
class Diary:
    """All of it. Mails stay in `posts` until they are handed over, be it the next night."""

    __pydantic_config__ = STRICT

    books: Mapping[str, Book] = field(default_factory=dict)
    night: Night | None = None
    posts: tuple[Post, ...] = ()
    format: int = FORMAT

    def told(self, target: str, book: Book, words: str, posts: tuple[Post, ...], *, worse: bool) -> Diary:
        """A target that is done: what was told of it, and the mails that tell it, in one step."""
        assert self.night is not None  # noqa: S101 - it is at work
        night = replace(self.night, targets={**self.night.targets, target: words}, worse=self.night.worse or worse)
        return replace(self, books={**self.books, target: book}, night=night, posts=(*self.posts, *posts))

    def searching(self, commands: tuple[str, ...]) -> Diary:
        """And these searches are to follow."""
        assert self.night is not None  # noqa: S101 - it is at work
        return replace(self, night=replace(self.night, searches={**dict.fromkeys(commands, ""), **self.night.searches}))


_ADAPTER: TypeAdapter[Diary] = TypeAdapter(Diary)


def _as_diary(record: dict[str, Any]) -> Diary:
    if record.get("format") != FORMAT:
        raise ValueError(f"format {record.get('format')!r}, this lab writes {FORMAT}")
    return _ADAPTER.validate_python(record)


def read_diary(folder: Path) -> Diary:
    """What is remembered. A damaged record is put aside and told; then history alone says what is new."""
    return read_record(folder / DIARY, _as_diary) or Diary()


def write_diary(folder: Path, diary: Diary) -> None:
    """Whole, with its digest, and on the disk."""
    record: dict[str, Any] = _ADAPTER.dump_python(diary, mode="json")
    write_record(folder / DIARY, record)
