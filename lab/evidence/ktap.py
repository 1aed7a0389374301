"""KTAP version 1, as kernel selftests and KUnit print it: bytes in, a tree of results out.

Documentation/dev-tools/ktap.rst. Nested tests are indented by spaces (KTAP, KUnit) or by `# ` (kselftest's runner
prefixes all that a test says). What the format leaves to the reader is decided here so that nothing looks better than
it is: a plan that is missing or not kept, a number out of order, a nested test without its parent's result, a failure
that is told where no report has begun, an output cut off in the middle of a line are problems of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

DIRECTIVES = ("SKIP", "TODO", "XFAIL", "TIMEOUT", "ERROR")


@dataclass(frozen=True)
class Result:
    """One result line. `directive` is one of DIRECTIVES or "", `reason` what follows it; `line` counts from 1."""

    number: int
    name: str
    ok: bool
    line: int
    directive: str = ""
    reason: str = ""
    nested: tuple[Document, ...] = ()


@dataclass(frozen=True)
class Document:
    """One test program's own report. `planned` is None without a plan; `skipped` is the reason of a plan `1..0`.

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


_VERSION = re.compile(r"(K?TAP version \d+)\s*$")
_PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*SKIP\b:?\s*(.*?))?\s*$", re.IGNORECASE)
_RESULT = re.compile(r"(not )?ok (\d+)(?:\s+(.*?))?\s*$")
_FAILURE = re.compile(r"[#\s]*not ok \d+\b")
_BAIL = re.compile(r"Bail out!\s*(.*?)\s*$")
_DIRECTIVE = re.compile(rf"(?:^|\s)(?<!\\)#\s*({'|'.join(DIRECTIVES)})\b:?\s*(.*)$", re.IGNORECASE)
_INDENT = re.compile(r"(?:# | {2,}|\t)*")
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[=>78])")


@dataclass
class _Open:
    """A document while it is read. `below` are nested documents that still wait for their parent's result."""

    indent: str
    line: int
    version: str = ""
    plans: list[int] = field(default_factory=list)
    skipped: str | None = None
    bail: str | None = None
    results: list[Result] = field(default_factory=list)
    below: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def closed(self) -> Document:
        planned = self.plans[0] if self.plans else None
        problems = (*self.problems, *_broken_plan(self), *_numbering(self.results), *_orphans(self.below))
        return Document(
            self.line, self.version, planned, self.skipped, self.bail, (*self.results, *_adopted(self)), problems
        )


def parse_ktap(data: bytes) -> tuple[Document, ...]:
    """The documents of an output, outermost first; none when it holds no KTAP. Never raises."""
    reader = _Reader()
    for number, line in enumerate(_lines(data), 1):
        reader.read(number, line)
    documents = reader.finish()
    if documents and data and not data.endswith(b"\n"):
        last = documents[-1]
        cut = (*last.problems, "the output ends in the middle of a line")
        documents = (*documents[:-1], replace(last, problems=cut))
    return documents


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


def _lines(data: bytes) -> Iterator[str]:
    for raw in data.split(b"\n"):
        yield _ESCAPE.sub("", raw.decode("utf-8", "replace")).replace("\x00", "").rstrip("\r")


class _Reader:
    """The documents that are open, outermost first: each is indented deeper than the one before it."""

    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.done: list[Document] = []
        self.stray: list[Document] = []

    def read(self, number: int, line: str) -> None:
        indent = _INDENT.match(line)
        depth = indent[0] if indent else ""
        if match := _VERSION.match(line[len(depth) :]):
            self._begin(depth, number).version = match[1]
        elif (match := _PLAN.match(line[len(depth) :])) and not depth.endswith("# "):
            self._plan(depth, number, match)
        else:
            self._other(number, line)

    def finish(self) -> tuple[Document, ...]:
        self._close_deeper_than(None)
        return (*self.done, *self.stray)

    def _begin(self, indent: str, number: int) -> _Open:
        """A document of this indentation; one that is open there already ends."""
        self._close_deeper_than(indent, itself=True)
        fresh = _Open(indent, number)
        self.open.append(fresh)
        return fresh

    def _plan(self, indent: str, number: int, match: re.Match[str]) -> None:
        at = self._at(indent)
        if at is None:
            at = self._begin(indent, number)  # KUnit's and old TAP's, without a version line
        self._close_deeper_than(indent)
        at.plans.append(int(match[1]))
        if int(match[1]) == 0:
            at.skipped = match[2] or ""

    def _other(self, number: int, line: str) -> None:
        for at in reversed(self.open):
            if line.startswith(at.indent) and self._told(at, number, line[len(at.indent) :]):
                return
        if match := _RESULT.match(line):  # a test that announces nothing, as many of tools/testing/selftests/cgroup
            self._close_deeper_than(None)
            self._begin("", number).results.append(_result(match, number, ()))
        elif _FAILURE.match(line):
            self.stray.append(Document(number, problems=(f"a failure outside of every report: {line.strip()}",)))

    def _told(self, at: _Open, number: int, text: str) -> bool:
        if match := _PLAN.match(text):
            self._close_deeper_than(at.indent)
            at.plans.append(int(match[1]))
            at.skipped = (match[2] or "") if int(match[1]) == 0 else at.skipped
        elif match := _RESULT.match(text):
            self._close_deeper_than(at.indent)
            at.results.append(_result(match, number, tuple(at.below)))
            at.below.clear()
        elif match := _BAIL.match(text):
            self._close_deeper_than(at.indent)
            at.bail = match[1]
        else:
            return False
        return True

    def _at(self, indent: str) -> _Open | None:
        return next((each for each in self.open if each.indent == indent), None)

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


def _broken_plan(at: _Open) -> Iterator[str]:
    if not at.plans:
        yield "no plan was announced, so results may be missing"
        return
    if len(at.plans) > 1:
        yield f"{len(at.plans)} plans were announced"
    planned, found = at.plans[0], len(at.results)
    if planned != found:
        yield f"{planned} results were announced, {found} came"


def _numbering(results: list[Result]) -> Iterator[str]:
    numbers = [result.number for result in results]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"results are numbered {', '.join(map(str, numbers))}"


def _orphans(below: list[Document]) -> Iterator[str]:
    if below:
        yield "a nested test came without the result of its parent"


def _adopted(at: _Open) -> Iterator[Result]:
    """What nested tests said must not be lost with the result of their parent."""
    if at.below:
        yield Result(
            0, "(without a result)", ok=False, line=at.below[0].line, directive="ERROR", nested=tuple(at.below)
        )
