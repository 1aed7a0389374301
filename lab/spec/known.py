# SPDX-License-Identifier: GPL-2.0-only
"""Known issues: what fails, is known to fail, and shall not be told as news. A file of them in TOML.

    [[issue]]
    id = "zc-oom-6.12"                      # names it everywhere
    title = "the OOM killer takes an innocent"
    case = "bystander"                      # shell patterns; several with a comma between them
    nic = "e1000e*"
    kernel = ">=6.12.100, <6.13"            # of the release; or a line: "6.12"
    finding = "innocent .* was killed"      # regular expression over the findings that decided
    console = "Out of memory: Killed"       # ... over the consoles of the guests
    link = "https://lore.kernel.org/..."
    since = "2026-11-20"
    culprit = "0123456789ab"

An issue says at least one of case, finding and console. All that it says has to hold.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import regex
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from lab.errors import BadInput

SECONDS = 1.0
"""A regular expression may take so long over the texts of one run. Some take for ever, whoever wrote them."""
MOST = 1000
"""Issues of one file."""
_RANGE = re.compile(r"\s*(?P<sign><=|>=|==|<|>)\s*(?P<version>\d[\w.-]*)\s*")
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?:[.-]?-?rc(\d{1,3}))?")
_FINAL = 10_000
"""Comes after every -rc."""
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
}


def version_of(release: str) -> tuple[int, int, int, int] | None:
    """A kernel's release as numbers that compare, -rc1 below the version itself; None when it does not begin so."""
    found = _VERSION.match(release)
    if found is None:
        return None
    major, minor, patch, rc = found.groups()
    return int(major), int(minor), int(patch or 0), int(rc or _FINAL)


def _pattern(text: str) -> str:
    try:
        regex.compile(text)
    except regex.error as exc:
        raise ValueError(f"no regular expression: {exc}") from exc
    if regex.search(text, "", timeout=SECONDS):
        raise ValueError("it matches an empty text, so it would match everything")
    return text


def _kernel(text: str) -> str:
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", text.strip()) and any(
        not (found := _RANGE.fullmatch(part)) or version_of(found["version"]) is None for part in text.split(",")
    ):
        raise ValueError("neither a line (6.12) nor a range of versions (>=6.12.100, <6.13)")
    return text


def _day(value: object) -> object:
    """TOML has dates of its own."""
    return value.isoformat() if isinstance(value, datetime.date) else value


Word = Annotated[str, Field(max_length=500)]
Pattern = Annotated[str, Field(max_length=2000, min_length=1), AfterValidator(_pattern)]


class Issue(BaseModel):
    """One known issue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.:-]{0,99}$")]
    title: Word = ""
    case: Word = ""
    nic: Word = ""
    design: Word = ""
    kernel: Annotated[Word, AfterValidator(_kernel)] | None = None
    finding: Pattern | None = None
    console: Pattern | None = None
    link: Word = ""
    since: Annotated[Word, BeforeValidator(_day)] = ""
    culprit: Word = ""

    @model_validator(mode="after")
    def _says_something(self) -> Issue:
        if not (self.case or self.finding or self.console):
            raise ValueError("it says none of case, finding and console, so it would match everything")
        return self

    def covers(self, case: str, nic: str, design: str, release: str) -> bool:
        """Whether a run is one that this is about, whatever came of it."""
        wanted = ((self.case, case), (self.nic, nic), (self.design, design))
        return all(_among(patterns, value) for patterns, value in wanted) and self._kernel_fits(release)

    def _kernel_fits(self, release: str) -> bool:
        if self.kernel is None:
            return True
        version = version_of(release)
        if version is None:
            return False  # nobody can tell, so it is not excused
        if re.fullmatch(r"\d+\.\d+", line := self.kernel.strip()):
            return line == f"{version[0]}.{version[1]}"
        parts = filter(None, (_RANGE.fullmatch(part) for part in self.kernel.split(",")))
        return all(_SIGNS[part["sign"]](version, version_of(part["version"])) for part in parts)

    @property
    def told(self) -> str:
        """In one line, for people."""
        more = ", ".join(filter(None, (self.title, self.link, f"since {self.since}" if self.since else "")))
        return f"{self.id}: {more}" if more else self.id


def _among(patterns: str, value: str) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(value, word.strip()) for word in patterns.split(","))


class KnownFile(BaseModel):
    """All of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issue: Annotated[tuple[Issue, ...], Field(max_length=MOST)] = ()


@dataclass(frozen=True)
class Failing:
    """A run that gave no word that everybody wants.

    findings  those that decided, as `rule: message`;  fault  whether a kernel faulted
    console   gives the text of the guests' consoles; asked only where an issue wants it
    """

    case: str
    nic: str
    design: str
    release: str
    findings: tuple[str, ...]
    fault: bool
    console: Callable[[], str]


@dataclass(frozen=True)
class Matched:
    """Issues that excuse a run, none unless they do so as a whole; `late` are those whose expression took too long."""

    issues: tuple[Issue, ...] = ()
    late: tuple[str, ...] = ()


class _Reader:
    """The texts of one run, searched within a time."""

    def __init__(self, run: Failing) -> None:
        self._run = run
        self.late: list[str] = []

    @cached_property
    def console(self) -> str:
        return self._run.console()

    def finds(self, issue: Issue, pattern: str, text: str) -> bool:
        try:
            return regex.search(pattern, text, flags=regex.MULTILINE, timeout=SECONDS) is not None
        except TimeoutError:
            self.late.append(issue.id)
            return False


def matched(issues: Iterable[Issue], run: Failing) -> Matched:
    """The issues that excuse a run. It is known only if each of the findings that decided is one of theirs.

    So a failure that is new is told though a known one came with it. An issue without an expression is about what the
    case finds, never about a kernel's fault.
    """
    reader = _Reader(run)
    left, found = set(run.findings), list[Issue]()
    for issue in issues:
        if not issue.covers(run.case, run.nic, run.design, run.release):
            continue
        if issue.console is not None and not reader.finds(issue, issue.console, reader.console):
            continue
        if run.fault and issue.console is None and issue.finding is None:
            continue
        pattern = issue.finding
        mine = {text for text in run.findings if pattern is None or reader.finds(issue, pattern, text)}
        if mine:
            found.append(issue)
            left -= mine
    late = tuple(dict.fromkeys(reader.late))
    return Matched((), late) if left or not run.findings else Matched(tuple(found), late)


def load_known(text: str, path: str) -> tuple[Issue, ...]:
    """The issues of a file. Raises BadInput with every problem, each with file and key."""
    hint = f"the keys of an [[issue]] are {', '.join(Issue.model_fields)}"
    try:
        issues = KnownFile.model_validate(tomllib.loads(text)).issue
    except tomllib.TOMLDecodeError as exc:
        raise BadInput([f"{path}: not TOML: {exc}"], hint=hint) from exc
    except ValidationError as exc:
        problems = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise BadInput(problems, hint=hint) from exc
    twice = [name for name, times in Counter(issue.id for issue in issues).items() if times > 1]
    if twice:
        raise BadInput(
            [f"{path}: issue.id: {name!r} is there {Counter(i.id for i in issues)[name]} times" for name in twice]
        )
    return issues
