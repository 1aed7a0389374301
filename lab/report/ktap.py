# SPDX-License-Identifier: GPL-2.0-only
"""KTAP version 1, as the kernel's own tests print it (Documentation/dev-tools/ktap.rst).

What its readers count is what the exit status says. A run that is not as predicted is `not ok`, a PASS among them
(`# XPASS`). A FAIL that was predicted is `ok ... # XFAIL` with its reason, as tools/testing/selftests/kselftest.h
prints an expected failure; only a PASS is `ok` without a word. SKIP, DONE, which promises nothing, and an ERROR or MISS
that was predicted are `ok ... # SKIP`: they say nothing of the kernel, and a reader must not count them as passed.

A name is the same every night: case, NIC profile, design and line of the kernel, and a number where a session has
several of these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from lab.evidence.manifest import Manifest
from lab.report.model import RunResult, Session
from lab.report.wording import one_line, reason, worst_first
from lab.verdict.model import Word


def render(session: Session) -> str:
    """The whole session, one test a run, in the order of the session."""
    lines = ["KTAP version 1", f"1..{len(session.results)}"]
    for number, (name, result) in enumerate(zip(names(session), session.results, strict=True), 1):
        lines += [f"  {line}" for line in _parts(result)]
        lines += _diagnostics(result)
        lines.append(_result(number, name, result))
    return "\n".join(lines) + "\n"


def names(session: Session) -> list[str]:
    """Of the runs, in their order; none twice."""
    seen: Counter[str] = Counter()
    told = []
    for result in session.results:
        name = _name(result.manifest)
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return told


def stable_names(results: Sequence[RunResult]) -> list[str]:
    """The same without numbers: one for all runs of a cell."""
    return [_name(result.manifest) for result in results]


def _name(manifest: Manifest) -> str:
    """A `#` would begin a directive, and a blank end the name for some readers."""
    kernel = manifest.kernel
    line = re.match(r"\d{1,4}\.\d{1,4}", kernel.release)
    built = "+".join((kernel.design, *kernel.fragments))
    parts = (manifest.case, manifest.nic, built, line[0] if line else kernel.release)
    return ".".join("_".join(one_line(part).replace("#", "_").split()) for part in parts)


def _result(number: int, name: str, result: RunResult) -> str:
    word, why = result.verdict.word, one_line(reason(result))
    if result.disagrees:
        told = f" # XPASS {one_line(result.instead_of)} was predicted" if word is Word.PASS else ""
        return f"not ok {number} {name}{told}"
    match word:
        case Word.PASS:
            return f"ok {number} {name}"
        case Word.FAIL:
            return f"ok {number} {name} # XFAIL {why}"
        case Word.SKIP:
            return f"ok {number} {name} # SKIP {why}"
        case Word.DONE:
            return f"ok {number} {name} # SKIP measured, nothing promised"
        case _:
            return f"ok {number} {name} # SKIP {word.value}, as predicted: {why}"


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
    yield from (f"# known {one_line(issue)}" for issue in result.known)
    yield f"# run {one_line(result.manifest.run)}"
    yield f"# bundle {one_line(result.bundle)}"
