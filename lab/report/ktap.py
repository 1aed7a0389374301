# SPDX-License-Identifier: GPL-2.0-only
"""KTAP version 1, as the kernel's own tests print it (Documentation/dev-tools/ktap.rst).

`ok` means that the verdict is PASS: the kernel keeps its promise. It does not mean "as predicted": a FAIL that was
predicted stays `not ok`, with the line `# predicted FAIL` before it. SKIP, and DONE, which promises nothing, are
`ok ... # SKIP`, because KTAP knows no third word. ERROR and MISS are `not ok`: nothing has shown that the kernel is
right.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.report.model import RunResult, Session
from lab.report.wording import one_line, reason, worst_first
from lab.verdict.model import Word


def render(session: Session) -> str:
    """The whole session, one test a run, in the order of the session."""
    lines = ["KTAP version 1", f"1..{len(session.results)}"]
    for number, result in enumerate(session.results, 1):
        lines += [f"  {line}" for line in _parts(result)]
        lines += _diagnostics(result)
        lines.append(_result(number, result))
    return "\n".join(lines) + "\n"


def _result(number: int, result: RunResult) -> str:
    # A `#` in the name would begin a directive.
    name = one_line(result.manifest.run).replace("#", "_")
    match result.verdict.word:
        case Word.PASS:
            return f"ok {number} {name}"
        case Word.SKIP:
            return f"ok {number} {name} # SKIP {one_line(reason(result))}"
        case Word.DONE:
            return f"ok {number} {name} # SKIP measured, nothing promised"
        case _:
            return f"not ok {number} {name}"


def _parts(result: RunResult) -> Iterator[str]:
    """A report inside the report, for a case that is made of parts."""
    parts = result.verdict.parts
    if parts:
        yield "KTAP version 1"
        yield f"1..{len(parts)}"
    for number, part in enumerate(parts, 1):
        name, why = one_line(part.name).replace("#", "_"), one_line(part.reason)
        word = "ok" if part.word in (Word.PASS, Word.SKIP) else "not ok"
        yield f"{word} {number} {name}{f' # SKIP {why}' if part.word is Word.SKIP else ''}"


def _diagnostics(result: RunResult) -> Iterator[str]:
    word = result.verdict.word
    if word is Word.PASS and result.as_predicted:
        return
    yield f"# {word.value}"
    yield f"# predicted {one_line(result.instead_of)}"
    for finding in worst_first(result.verdict.findings):
        if finding.word is not Word.PASS:
            told = f"{finding.word.value} {finding.rule}: {finding.message} [{finding.pointer}]"
            yield f"# {one_line(told)}"
    yield f"# bundle {one_line(result.bundle)}"
