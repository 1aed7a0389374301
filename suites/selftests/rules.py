# SPDX-License-Identifier: GPL-2.0-only
"""From what a selftest left behind to findings, beside those on the ground that it stands on.

The kernel is blamed for what its console says, and for a case that says `not ok`; the test for what it does not say: a
plan that is not kept, time that is up, a status nobody has promised. Trouble of the lab is a MISS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.evidence.model import Evidence, Grade, Ledger
from lab.verdict import ground
from lab.verdict.case import Case, Rule, rule
from lab.verdict.model import Finding, Word
from suites.selftests.table import OUTPUT, TEST, Expect, Selftest

if TYPE_CHECKING:
    from suites.selftests.record import Selftold, TestRecord

KSFT_PASS, KSFT_FAIL, KSFT_XFAIL, KSFT_XPASS, KSFT_SKIP = range(5)
"""Exit statuses of tools/testing/selftests/kselftest.h."""


def own(evidence: Evidence) -> Selftold:
    """What the reader of this experiment made of the bundle."""
    from suites.selftests.record import Selftold

    if not isinstance(evidence.own, Selftold):
        raise TypeError("evidence of another experiment")
    return evidence.own


def rules_of(test: Selftest) -> tuple[Rule, ...]:
    """What is asked of a test; each must speak before there can be a PASS."""
    return (applies, aloud, ended, proof) if test.expects else (applies, aloud, ended, plan, cases)


@rule("applies", may_skip=True)
def applies(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """It is told how the test was run, it could be built, and the kernel has what it needs."""
    told = own(evidence)
    if told.record is None:
        return [Finding("applies", Word.ERROR, told.problem, TEST)]
    if told.record.built:
        return [Finding("applies", Word.ERROR, told.record.built, TEST)]
    if told.record.skip:
        return [Finding("applies", Word.SKIP, told.record.skip, TEST)]
    return [Finding("applies", Word.PASS, "it was built, and this kernel has what it needs", TEST)]


@rule("output")
def aloud(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The test's output shows no fault of the kernel either, for a test may read its log aloud.

    What a program says is not the kernel's: a kernel's report has a stamp. What kills a kernel is nobody else's word,
    stamp or not.
    """
    told, under = own(evidence), ground.of_run(evidence)
    found = [
        ground.about_splat(under, under.guests[0], splat, OUTPUT)
        for splat in told.said.splats
        if splat.grade is not Grade.TOLD and (splat.t is not None or (splat.fatal and splat.grade is Grade.FAULT))
    ]
    found += ground.tainted(replace(under, tainted=told.tainted))
    return found or [Finding("output", Word.PASS, "the output tells of no fault of the kernel", OUTPUT)]


@rule("ended", may_skip=True, yields=True)
def ended(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The test came to its own end, by an exit status that kselftest knows."""
    told = own(evidence)
    record = told.record
    if record is None or record.built or record.skip:
        return _not_tried("ended")
    if record.status is None and not (told.test.peer or record.timed_out):
        # an incident says why: a flood, say, is no MISS
        unseen = Finding("ended", Word.MISS, "nobody saw it end", TEST)
        return [] if evidence.manifest.incidents else [unseen]
    return _excused(told, _ended(record, told.test))


def _not_tried(name: str) -> list[Finding]:
    """`applies` says why."""
    return [Finding(name, Word.SKIP, "the test was not run", TEST)]


def _ended(record: TestRecord, test: Selftest) -> Iterator[Finding]:
    if record.timed_out:
        yield Finding("ended", Word.ERROR, f"time was up: {record.timed_out}", OUTPUT)
        return
    if test.peer:
        yield _peer(record.peer_status, test)
        if record.status is not None:
            message = f"the receiver's program ended by itself, status {record.status}"
            yield Finding("ended", Word.ERROR, message, OUTPUT)
    elif record.status is not None:
        yield _status(record.status)


def _peer(status: int | None, test: Selftest) -> Finding:
    if status == test.peer_end:
        return Finding("ended", Word.PASS, f"the sender did its part (exit status {status})", TEST)
    if status == 0:
        # it stops only at an error of send(), and says nothing of it
        return Finding("ended", Word.FAIL, "the sender's stream broke off before its time", TEST)
    return Finding("ended", Word.ERROR, f"the sender ended with status {status}, not {test.peer_end}", TEST)


def _status(status: int) -> Finding:
    match status:
        case 0 | 3:
            return Finding("ended", Word.PASS, f"exit status {status}", TEST)
        case 1:
            return Finding("ended", Word.FAIL, "exit status 1: the test says that it failed", TEST)
        case 2 | 4:
            what = "skipped" if status == KSFT_SKIP else "failed as expected"
            return Finding("ended", Word.SKIP, f"exit status {status}: {what}", TEST)
        case _ if status > 128:
            return Finding("ended", Word.ERROR, f"signal {status - 128} ended it", TEST)
    return Finding("ended", Word.ERROR, f"exit status {status} is none of kselftest's", TEST)


@rule("proof", may_skip=True, yields=True)
def proof(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """A test that prints no report says the numbers that must prove it, and they are large enough."""
    told = own(evidence)
    if told.record is None or told.record.built or told.record.skip:
        return _not_tried("proof")
    return _excused(told, (_expected(told.output, expect, evidence.manifest.floor) for expect in told.test.expects))


def _expected(output: str, expect: Expect, floor: float) -> Finding:
    found = list(re.finditer(expect.pattern, output, re.MULTILINE))
    said = f"{expect.meaning}: {'; '.join(', '.join(m.groups()) or m[0] for m in found) or 'nothing'}"
    where = f"{OUTPUT}:{output.count(chr(10), 0, found[0].start()) + 1}" if found else OUTPUT
    if len(found) < expect.count:
        return Finding("proof", Word.ERROR, f"{said}; {expect.count} times were due, {len(found)} came", where)
    floors = [100 * floor if least is None else least for least in expect.least]
    for match in found:
        for text, least in zip(match.groups(), floors, strict=True):
            if not _number(text) >= least:
                return Finding("proof", Word.ERROR, f"{said}; {text} is below {least:g}", where)
    return Finding("proof", Word.PASS, said, where)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


@rule("plan", may_skip=True, yields=True)
def plan(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The report is whole: it has a plan, which is kept, or every case that the source lists.

    Without any report the exit status alone speaks, as run_kselftest.sh has it, unless the source lists cases.
    """
    told = own(evidence)
    if told.record is None or told.record.built or told.record.skip:
        return _not_tried("plan")
    if not told.documents:
        word, what = (Word.ERROR, "it printed no result") if told.record.cases else (Word.PASS, "it prints no report")
        return [Finding("plan", word, what, OUTPUT)]
    found = [*_incomplete(told, told.record.cases)]
    return found or [Finding("plan", Word.PASS, f"the report is whole: {len(told.parts)} cases", OUTPUT)]


def _incomplete(told: Selftold, listed: tuple[str, ...]) -> Iterator[Finding]:
    """The list of the source is the plan where the test announces none."""
    from lab.evidence.ktap import problems_in

    first = told.documents[0]
    unannounced = bool(listed) and first.planned is None
    results = {result.name for document in told.documents for result in document.results}
    missing = [name for name in listed if name not in results] if unannounced else []
    if missing:
        message = f"{len(missing)} of {len(listed)} cases gave no result: {', '.join(missing)}"
        yield Finding("plan", Word.ERROR, message, OUTPUT)
    for line, problem in problems_in(told.documents):
        if not (unannounced and line == first.line and "no plan" in problem):
            yield Finding("plan", Word.ERROR, problem, f"{OUTPUT}:{line}")


@rule("case", may_skip=True, yields=True)
def cases(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """No case of the report failed, and one passed at least."""
    told = own(evidence)
    if told.record is None or told.record.built or told.record.skip:
        return _not_tried("case")
    if not told.documents:
        return [Finding("case", Word.PASS, "its exit status speaks for it", OUTPUT)]
    bad = [
        Finding("case", part.word, f"{part.name}: {part.reason}", part.pointer)
        for part in told.parts
        if part.word in (Word.FAIL, Word.ERROR)
    ]
    return _excused(told, [*bad, *_good(told)])


def _good(told: Selftold) -> Iterator[Finding]:
    passed = sum(part.word is Word.PASS for part in told.parts)
    if passed:
        yield Finding("case", Word.PASS, f"{passed} of {len(told.parts)} cases passed", OUTPUT)
        return
    skipped = [d.skipped for d in told.documents if d.skipped is not None]
    skipped += [f"{part.name}: {part.reason}" for part in told.parts if part.word is Word.SKIP]
    if skipped:
        yield Finding("case", Word.SKIP, "; ".join(skipped) or "no reason given", OUTPUT)
    elif not told.parts:
        yield Finding("case", Word.ERROR, "a plan and not one case", OUTPUT)


def _excused(told: Selftold, findings: Iterable[Finding]) -> list[Finding]:
    """A failure that something other than the kernel explains proves nothing."""
    test, record = told.test, told.record
    why = ""
    if record is not None and record.lacking and not test.listed:
        why = f"this kernel lacks what the directory's config asks for: {', '.join(record.lacking)}"
    elif test.excuse and re.search(test.excuse[0], told.output, re.MULTILINE):
        why = test.excuse[1]
    return [
        replace(f, word=Word.ERROR, message=f"{f.message}; {why}") if why and f.word is Word.FAIL else f
        for f in findings
    ]
