# SPDX-License-Identifier: GPL-2.0-only
"""From what a selftest left behind to one word, and one for each of its cases.

The kernel is blamed for what its console says, and for a case that says `not ok`; the test for what it does not say: a
plan that is not kept, time that is up, a status nobody has promised. Trouble of the lab is a MISS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lab.evidence.ktap import Document, Result, leaves, problems_in
from lab.evidence.model import Grade
from lab.evidence.names import OUTPUT, RECORD
from lab.evidence.selftest import SelftestEvidence
from lab.plan.selftests import Expect, Selftest
from lab.verdict import ground
from lab.verdict.ground import GROUND_RULES, Ground
from lab.verdict.model import Finding, Word, faults
from lab.verdict.rules_always import TELLS, heard_of

KSFT_PASS, KSFT_FAIL, KSFT_XFAIL, KSFT_XPASS, KSFT_SKIP = range(5)
"""Exit statuses of tools/testing/selftests/kselftest.h."""


@dataclass(frozen=True)
class CaseVerdict:
    """One result line of a selftest. `line` counts from 1 in its output."""

    name: str
    word: Word
    reason: str
    line: int


@dataclass(frozen=True)
class SelftestVerdict:
    """One word for the test, what it rests on, and its cases."""

    word: Word
    findings: tuple[Finding, ...]
    cases: tuple[CaseVerdict, ...]


def judge_selftest(evidence: SelftestEvidence, test: Selftest) -> SelftestVerdict:
    """The verdict. What nobody vouches for is an ERROR, never a PASS."""
    record = evidence.record
    if record.built:
        return SelftestVerdict(Word.ERROR, (Finding("built", Word.ERROR, record.built, RECORD),), ())
    if record.skip:
        findings = [] if record.format == 1 else [*_ground(evidence)]
        findings.append(Finding("applies", Word.SKIP, record.skip, RECORD))
        return SelftestVerdict(decide_selftest(findings), tuple(findings), ())
    cases = tuple(_case(path, result) for path, result in leaves(evidence.documents))
    findings = [*_ground(evidence), *_ended(evidence, test)]
    if test.expects:
        findings += _numbers(evidence, test)
    else:
        findings += _ktap(evidence, cases)
    if record.lacking and not test.listed:
        why = f"this kernel lacks what the directory's config asks for: {', '.join(record.lacking)}"
        findings = [_excused(finding, why) for finding in findings]
    if test.excuse and re.search(test.excuse[0], evidence.output, re.MULTILINE):
        findings = [_excused(finding, test.excuse[1]) for finding in findings]
    return SelftestVerdict(decide_selftest(findings), tuple(findings), cases)


def _excused(finding: Finding, why: str) -> Finding:
    """A failure that something other than the kernel explains proves nothing; a fault of the kernel stays one."""
    if finding.word is not Word.FAIL or finding.rule == "kernel-alive":
        return finding
    return replace(finding, word=Word.ERROR, message=f"{finding.message}; {why}")


def decide_selftest(findings: Iterable[Finding]) -> Word:
    """A run's ladder as far as the ground goes: a dead kernel explains all else, and trouble of the lab or evidence
    that cannot be trusted forbids both PASS and FAIL. After it the worst word of what the test says.
    """
    findings = tuple(findings)
    words = {finding.word for finding in findings}
    if faults(findings):
        return Word.FAIL
    if Word.MISS in words:
        return Word.MISS
    if any(finding.word is Word.ERROR and finding.rule in GROUND_RULES for finding in findings):
        return Word.ERROR
    for word in (Word.FAIL, Word.ERROR, Word.SKIP):
        if word in words:
            return word
    ended = any(finding.rule == "ended" for finding in findings)
    return Word.PASS if ended and words == {Word.PASS} else Word.ERROR


def _said(evidence: SelftestEvidence, under: Ground) -> Iterator[Finding]:
    """The kernel's words in the output, for a test may read its log aloud. What a program says is not the kernel's.

    A kernel's report has a stamp; what kills a kernel is nobody else's word, stamp or not.
    """
    for splat in evidence.said.splats if under.guests else ():
        if splat.grade is not Grade.TOLD and (splat.t is not None or (splat.fatal and splat.grade is Grade.FAULT)):
            yield ground.about_splat(under, under.guests[0], splat, OUTPUT)


def _ground(evidence: SelftestEvidence) -> Iterator[Finding]:
    """What a run is asked as well: kernels, lab, evidence and consoles."""
    under = ground.of_selftest(evidence)
    yield from ground.kernel_alive(under)
    yield from _said(evidence, under)
    yield from ground.lab_trouble(under)
    yield from ground.damage(under)
    if under.format >= TELLS:
        for guest in under.guests:
            yield from heard_of(guest)
    elif not any(guest.console.lines for guest in under.guests) and not under.incidents:
        yield Finding("complete", Word.ERROR, "no console says how the kernel fared", RECORD)


def _ended(evidence: SelftestEvidence, test: Selftest) -> Iterator[Finding]:
    """Whether the test came to its own end."""
    record = evidence.record
    if record.timed_out:
        yield Finding("ended", Word.ERROR, f"time was up: {record.timed_out}", OUTPUT)
        return
    if test.peer:
        yield _peer(record.peer_status, test)
        if record.status is not None:
            yield Finding(
                "ended", Word.ERROR, f"the receiver's program ended by itself, status {record.status}", OUTPUT
            )
    elif record.status is None:
        if not record.incidents:
            yield Finding("ended", Word.MISS, "nobody saw it end", RECORD)
    else:
        yield _status(record.status)


def _peer(status: int | None, test: Selftest) -> Finding:
    if status == test.peer_end:
        return Finding("ended", Word.PASS, f"the sender did its part (exit status {status})", RECORD)
    if status == 0:
        # it stops only at an error of send(), and says nothing of it
        return Finding("ended", Word.FAIL, "the sender's stream broke off before its time", RECORD)
    return Finding("ended", Word.ERROR, f"the sender ended with status {status}, not {test.peer_end}", RECORD)


def _status(status: int) -> Finding:
    match status:
        case 0 | 3:
            return Finding("ended", Word.PASS, f"exit status {status}", RECORD)
        case 1:
            return Finding("ended", Word.FAIL, "exit status 1: the test says that it failed", RECORD)
        case 2 | 4:
            what = "skipped" if status == KSFT_SKIP else "failed as expected"
            return Finding("ended", Word.SKIP, f"exit status {status}: {what}", RECORD)
        case _ if status > 128:
            return Finding("ended", Word.ERROR, f"signal {status - 128} ended it", RECORD)
    return Finding("ended", Word.ERROR, f"exit status {status} is none of kselftest's", RECORD)


def _numbers(evidence: SelftestEvidence, test: Selftest) -> Iterator[Finding]:
    for expect in test.expects:
        yield _expected(evidence, expect)


def _expected(evidence: SelftestEvidence, expect: Expect) -> Finding:
    found = list(re.finditer(expect.pattern, evidence.output, re.MULTILINE))
    said = f"{expect.meaning}: {'; '.join(', '.join(m.groups()) or m[0] for m in found) or 'nothing'}"
    where = f"{OUTPUT}:{evidence.output.count(chr(10), 0, found[0].start()) + 1}" if found else OUTPUT
    if len(found) < expect.count:
        return Finding("proof", Word.ERROR, f"{said}; {expect.count} times were due, {len(found)} came", where)
    floors = [100 * evidence.record.floor if least is None else least for least in expect.least]
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


def _ktap(evidence: SelftestEvidence, cases: tuple[CaseVerdict, ...]) -> Iterator[Finding]:
    """What the report says; without any, the exit status alone speaks, as run_kselftest.sh has it."""
    if not evidence.documents:
        if evidence.record.cases:
            yield Finding("proof", Word.ERROR, "it printed no result", OUTPUT)
        return
    unannounced = bool(evidence.record.cases) and evidence.documents[0].planned is None
    if unannounced:
        yield from _promised(evidence.record.cases, evidence.documents)
    for line, problem in problems_in(evidence.documents):
        if not (unannounced and line == evidence.documents[0].line and "no plan" in problem):
            yield Finding("plan", Word.ERROR, problem, f"{OUTPUT}:{line}")
    for case in cases:
        if case.word in (Word.FAIL, Word.ERROR):
            yield Finding("case", case.word, f"{case.name}: {case.reason}", f"{OUTPUT}:{case.line}")
    yield from _good(evidence, cases)


def _good(evidence: SelftestEvidence, cases: tuple[CaseVerdict, ...]) -> Iterator[Finding]:
    passed = sum(case.word is Word.PASS for case in cases)
    if passed:
        yield Finding("case", Word.PASS, f"{passed} of {len(cases)} cases passed", OUTPUT)
        return
    skipped = [d.skipped for d in evidence.documents if d.skipped is not None]
    skipped += [f"{case.name}: {case.reason}" for case in cases if case.word is Word.SKIP]
    if skipped:
        yield Finding("case", Word.SKIP, "; ".join(skipped) or "no reason given", OUTPUT)
    elif not cases:
        yield Finding("case", Word.ERROR, "a plan and not one case", OUTPUT)


def _promised(cases: tuple[str, ...], documents: tuple[Document, ...]) -> Iterator[Finding]:
    """The plan that the test does not announce: its own list of cases."""
    told = {result.name for document in documents for result in document.results}
    missing = [name for name in cases if name not in told]
    if missing:
        message = f"{len(missing)} of {len(cases)} cases gave no result: {', '.join(missing)}"
        yield Finding("plan", Word.ERROR, message, OUTPUT)


def _case(path: str, result: Result) -> CaseVerdict:
    word, reason = _word_of(result)
    worst = [_case(path, inner) for document in result.nested for inner in document.results]
    if word is Word.PASS and (hidden := next((c for c in worst if c.word is Word.FAIL), None)):
        return CaseVerdict(path, Word.FAIL, f"says ok, but line {hidden.line} does not", result.line)
    if word is Word.PASS and (hidden := next((c for c in worst if c.word is Word.ERROR), None)):
        return CaseVerdict(path, Word.ERROR, f"says ok, but line {hidden.line} is an error", result.line)
    if word is Word.PASS and result.nested and not any(c.word is Word.PASS for c in worst):
        why = next((c.reason for c in worst), None) or next((d.skipped for d in result.nested), None)
        return CaseVerdict(path, Word.SKIP, why or "no reason given", result.line)
    return CaseVerdict(path, word, reason, result.line)


def _word_of(result: Result) -> tuple[Word, str]:
    said = result.reason or "no reason given"
    match result.directive, result.ok:
        case "SKIP", _:
            return Word.SKIP, said
        case "TIMEOUT" | "ERROR", _:
            return Word.ERROR, f"{result.directive}: {said}"
        case "XFAIL", _:
            return Word.SKIP, f"expected to fail: {said}"
        case "TODO", False:
            return Word.SKIP, f"to be done: {said}"
        case _, True:
            return Word.PASS, "ok"
    return Word.FAIL, "not ok"
