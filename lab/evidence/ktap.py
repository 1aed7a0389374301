# SPDX-License-Identifier: GPL-2.0-only
"""KTAP version 1, as kernel selftests and KUnit print it: bytes in, a tree of results out.

Documentation/dev-tools/ktap.rst. Nested tests are indented by spaces or tabs (KTAP, KUnit) or by `# ` (kselftest's
runner prefixes all that a test says). What the format leaves to the reader is decided here so that nothing looks better
than it is: a plan that is missing or not kept, a report without a result, a number out of order, a nested test without
its parent's result, a failure that is told where no report has begun, an output cut off in the middle of a line are
problems of the document. The reader of the kernel's own, tools/testing/kunit/kunit_parser.py, is more lenient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lab.evidence.ktaplines import bound, report_lines

DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")
VERSIONS = ("KTAP version 1", "TAP version 13", "TAP version 14")

MAX_DEPTH = 32
MAX_RESULTS = 100_000
"""Nothing of the kernel nests deeper than 5; the largest of its reports has some 5,000 results."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result line. `directive` is one of DIRECTIVES or "", `reason` what follows it; `line` counts from 1."""

    number: int
    name: str
    ok: bool
    line: int
    directive: str = ""
    reason: str = ""
    nested: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One test program's own report. `planned` is None without a plan; `skipped` is the reason of a plan `1..0 # SKIP`.

    name       what `# Subtest:` calls it
    problems   why it must not be believed as a whole, as sentences
    bail       what followed `Bail out!`; None when nothing was
    """

    line: int
    version: str = ""
    planned: int | None = None
    skipped: str | None = None
    bail: str | None = None
    results: tuple[Result, ...] = ()
    problems: tuple[str, ...] = ()
    name: str = ""


# Lines come without white space at their end, and `.` takes what is there: no pattern tries a line twice.
_INDENT = re.compile(r"[ \t]*(?:#[ \t]*)*")
_VERSION = re.compile(r"(K?TAP version \d{1,9})$")
_SUBTEST = re.compile(r"Subtest: ?(.*)$")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s*#\s*(?:(SKIP)\w*\b:?\s*)?(.*))?$", re.IGNORECASE)
_RESULT = re.compile(r"(not +)?ok +(\d{1,9})(?:\s+(.*))?$")
_FAILURE = re.compile(r"(?:^|[\]>;:|])[#\s]*not ok(?: +\d| +-|$)")
_BAIL = re.compile(r"Bail out!\s*(.*)$")
_DIRECTIVE = re.compile(rf"(?:^|\s)(?<!\\)#\s*({'|'.join(DIRECTIVES)})\b:?\s*(.*)$", re.IGNORECASE)


class _Beyond(Exception):
    """A bound was hit."""


@dataclass
class _Open:
    """A document while it is read. `below` are nested documents that still wait for their parent's result."""

    indent: str
    line: int
    version: str = ""
    name: str | None = None
    plans: list[int] = field(default_factory=list)
    skipped: str | None = None
    bail: str | None = None
    results: list[Result] = field(default_factory=list)
    below: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def untouched(self) -> bool:
        """Whether nothing but its version was told."""
        return self.name is None and not (self.plans or self.results or self.below)

    def closed(self) -> Document:
        planned = self.plans[0] if self.plans else None
        problems = (*self.problems, *_wrong_version(self), *_broken_plan(self), *_numbering(self.results))
        results = (*self.results, *_adopted(self))
        problems = (*problems, *_orphans(self.below))
        return Document(
            self.line, self.version, planned, self.skipped, self.bail, results, problems, name=self.name or ""
        )


def parse_ktap(data: bytes) -> tuple[Document, ...]:
    """The documents of an output, outermost first; none when it holds no KTAP. Never raises.

    An output that exceeds a bound is read up to it, and one document more says so.
    """
    reader, beyond = _Reader(), bound(data)
    try:
        for number, line in report_lines(data):
            reader.read(number, line)
    except _Beyond as exc:
        beyond = str(exc)
    documents = reader.finish()
    if documents and data and not data.endswith(b"\n"):
        last = documents[-1]
        cut = (*last.problems, "the output ends in the middle of a line")
        documents = (*documents[:-1], replace(last, problems=cut))
    return (*documents, Document(1, problems=(beyond,))) if beyond else documents


def leaves(documents: tuple[Document, ...], prefix: str = "") -> Iterator[tuple[str, Result]]:
    """Every result by its path (`parent/child`); a parent comes after those nested in it."""
    for document in documents:
        for result in document.results:
            path = f"{prefix}{result.name}"
            yield from leaves(result.nested, f"{path}/")
            yield path, result


def problems_in(documents: tuple[Document, ...], prefix: str = "") -> Iterator[tuple[int, str]]:
    """(line, sentence) of every problem and `Bail out!` at any depth."""
    for document in documents:
        for problem in document.problems:
            yield document.line, f"{prefix}{problem}"
        if document.bail is not None:
            yield document.line, f"{prefix}it bailed out: {document.bail or 'no reason given'}"
        for result in document.results:
            yield from problems_in(result.nested, f"{prefix}{result.name}: ")


class _Reader:
    """The documents that are open, outermost first: each is indented deeper than the one before it."""

    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.done: list[Document] = []
        self.stray: list[Document] = []
        self.results = 0

    def read(self, number: int, line: str) -> None:
        match = _INDENT.match(line)
        indent = match[0] if match else ""
        said = line[len(indent) :]
        if found := _VERSION.match(said):
            self._begin(indent, number).version = found[1]
        elif (found := _SUBTEST.match(said)) and "#" in indent:
            self._name(indent[: indent.rindex("#")], number, found[1].strip())
        elif found := _PLAN.match(said):
            self._plan(indent, number, found)
        elif found := _RESULT.match(said):
            self._result(indent, number, found)
        elif found := _BAIL.match(said):
            self._bail(indent, number, found[1])
        elif _FAILURE.search(line):
            self._count()
            self.stray.append(Document(number, problems=(f"a failure outside of every report: {line.strip()[:200]}",)))

    def finish(self) -> tuple[Document, ...]:
        self._close_deeper_than(None)
        return (*self.done, *self.stray)

    def _begin(self, indent: str, number: int) -> _Open:
        """A document of this indentation; one that is open there already ends."""
        self._close_deeper_than(indent, itself=True)
        if len(self.open) == MAX_DEPTH:
            raise _Beyond(f"line {number}: reports are nested deeper than the {MAX_DEPTH} that are read")
        fresh = _Open(indent, number)
        self.open.append(fresh)
        self._count()
        return fresh

    def _count(self) -> None:
        self.results += 1
        if self.results > MAX_RESULTS:
            raise _Beyond(f"there are more than {MAX_RESULTS} results and reports, which is all that is read")

    def _at(self, indent: str, number: int) -> _Open:
        """The document that is open at this indentation, else one that begins here without a word."""
        self._close_deeper_than(indent)
        there = self.open and self.open[-1].indent == indent
        return self.open[-1] if there else self._begin(indent, number)

    def _name(self, indent: str, number: int, name: str) -> None:
        """`# Subtest:` stands below the version, or for it (KUnit before v6.3)."""
        at = self._at(indent, number)
        if not at.untouched:
            at = self._begin(indent, number)
        if number > at.line + 1:
            at.problems.append(f"`# Subtest: {name}` on line {number} does not follow its version line")
        at.name = name

    def _plan(self, indent: str, number: int, match: re.Match[str]) -> None:
        at = self._at(indent, number)
        if at.untouched and not at.version and len(self.open) > 1 and "#" not in indent:
            at.problems.append(f"the nested report on line {number} begins with its plan")
        if at.results:
            at.problems.append(f"the plan on line {number} came behind results")
        at.plans.append(int(match[1]))
        if int(match[1]) == 0 and match[2]:
            at.skipped = match[3] or ""

    def _result(self, indent: str, number: int, match: re.Match[str]) -> None:
        """A line that closes what is nested deeper; one for which nothing was announced begins a report by itself."""
        at = self._at(indent, number)
        self._count()
        result = _result(match, number, tuple(at.below))
        at.problems += _strangers(at.below, result)
        at.results.append(result)
        at.below.clear()

    def _bail(self, indent: str, number: int, why: str) -> None:
        """Whoever says it, the whole test ends; Documentation/dev-tools/ktap.rst leaves it to the reader."""
        self._at(indent, number).bail = why

    def _close_deeper_than(self, indent: str | None, *, itself: bool = False) -> None:
        while self.open:
            last = self.open[-1]
            if indent is not None and not (len(last.indent) > len(indent) or (itself and last.indent == indent)):
                return
            self.open.pop()
            (self.open[-1].below if self.open else self.done).append(last.closed())


def _result(match: re.Match[str], line: int, nested: tuple[Document, ...]) -> Result:
    text = match[3] or ""
    said = _DIRECTIVE.search(text)
    name = (text[: said.start()] if said else text).strip().removeprefix("- ").strip().replace("\\#", "#")
    reason = said[2].strip() if said else ""
    # ksft_test_result_skip() and its like print the directive before the name
    return Result(
        int(match[2]), name or reason or match[2], not match[1], line, said[1].upper() if said else "", reason, nested
    )


def _wrong_version(at: _Open) -> Iterator[str]:
    if at.version and at.version not in VERSIONS:
        yield f"nobody knows {at.version}"


def _broken_plan(at: _Open) -> Iterator[str]:
    if not at.plans:
        yield "no plan was announced, so results may be missing"
    if len(at.plans) > 1:
        yield f"{len(at.plans)} plans were announced"
    planned, found = (at.plans or [len(at.results)])[0], len(at.results)
    if planned != found:
        yield f"{planned} results were announced, {found} came"
    elif not found and at.skipped is None:
        yield "it has no result, and does not say that it was skipped"


def _numbering(results: list[Result]) -> Iterator[str]:
    for due, result in enumerate(results, 1):
        if result.number != due:
            yield f"result {due}, on line {result.line}, is numbered {result.number}"
            return


def _strangers(below: list[Document], result: Result) -> list[str]:
    """One report belongs to one result, and where it has a name, to the one of that name."""
    if len(below) > 1:
        return [f"{len(below)} nested reports stand before the one result on line {result.line}"]
    if below and below[0].name and below[0].name != result.name:
        return [f"the nested report of {below[0].name} stands before the result of {result.name}"]
    return []


def _orphans(below: list[Document]) -> Iterator[str]:
    if below:
        yield "a nested test came without the result of its parent"


def _adopted(at: _Open) -> Iterator[Result]:
    """What nested tests said must not be lost with the result of their parent."""
    if at.below:
        yield Result(
            0, "(without a result)", ok=False, line=at.below[0].line, directive="ERROR", nested=tuple(at.below)
        )
