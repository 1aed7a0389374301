# SPDX-License-Identifier: GPL-2.0-only
"""The ground rules are the same for runs and selftests: what a console, a host or a damaged file says of either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.evidence.bundle import parse
from lab.evidence.manifest import Incident
from lab.evidence.model import Grade, GuestEvidence, Splat
from lab.verdict.model import Finding, Word
from suites.selftests.older import parse_older
from tests.known import judge
from tests.unit.selftests.told import GOOD, PLAIN, captures, older
from tests.unit.verdict.builder import story

OOPS = "[  101.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008"
LOCKUP = "[  101.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [zc-client:77]"
NMI = "[  101.000000] Watchdog detected hard LOCKUP on cpu 0"
CONSOLE = "receiver/console.log"

Change = Callable[[GuestEvidence], GuestEvidence]
Judged = tuple[Word, tuple[Finding, ...]]
Judge = Callable[..., Judged]


def same(guest: GuestEvidence) -> GuestEvidence:
    return guest


def of_run(*, line: str = "", incidents: tuple[str, ...] = (), later: bytes = b"", change: Change = same) -> Judged:
    told = story("hold")
    told.machine.console += [line] if line else []
    for kind in incidents:
        told.incident(kind)
    files = told.files()
    files[CONSOLE] += later
    evidence = parse(files)
    verdict = judge(replace(evidence, receiver=change(evidence.receiver)))
    return verdict.word, verdict.findings


def of_selftest(
    *, line: str = "", incidents: tuple[str, ...] = (), later: bytes = b"", change: Change = same
) -> Judged:
    told = tuple(Incident.model_validate({"kind": k, "guest": "receiver", "detail": "d", "t": ""}) for k in incidents)
    files = captures(GOOD, PLAIN, f"{line}\n".encode() if line else b"", incidents=told)
    files[CONSOLE] += later
    evidence = parse(files)
    verdict = judge(replace(evidence, receiver=change(evidence.receiver)))
    return verdict.word, verdict.findings


def of_older_selftest(
    *, line: str = "", incidents: tuple[str, ...] = (), later: bytes = b"", change: Change = same
) -> Judged:
    told = tuple(Incident.model_validate({"kind": k, "guest": "receiver", "detail": "d", "t": ""}) for k in incidents)
    files = older(GOOD, PLAIN, f"{line}\n".encode() if line else b"", incidents=told)
    files[CONSOLE] += later
    evidence, case = parse_older(files)
    verdict = judge(replace(evidence, receiver=change(evidence.receiver)), case)
    return verdict.word, verdict.findings


@pytest.fixture(params=[of_run, of_selftest, of_older_selftest], ids=["run", "selftest", "older"])
def judged(request: pytest.FixtureRequest) -> Judge:
    found: Judge = request.param
    return found


def graded(grade: Grade) -> Change:
    splat = Splat("trace", "Call Trace:", fatal=False, line=1, grade=grade)
    return lambda guest: replace(guest, console=replace(guest.console, splats=(splat,)))


def test_on_good_ground_both_pass(judged: Judge) -> None:
    assert judged()[0] is Word.PASS


def test_a_fault_is_a_fail(judged: Judge) -> None:
    assert judged(line=OOPS)[0] is Word.FAIL


def test_an_altered_console_is_an_error_whatever_it_says(judged: Judge) -> None:
    assert judged(later=b"more\n")[0] is Word.ERROR
    assert judged(later=f"{OOPS}\n".encode())[0] is Word.ERROR


@pytest.mark.parametrize(("grade", "word"), [(Grade.FAULT, "FAIL"), (Grade.UNEXPLAINED, "ERROR"), (Grade.TOLD, "PASS")])
def test_what_the_console_says_weighs_as_it_is_graded(judged: Judge, grade: Grade, word: str) -> None:
    found, findings = judged(change=graded(grade))
    assert found == word
    assert any("Call Trace:" in finding.message for finding in findings)


def test_a_console_that_was_not_read_whole_is_an_error(judged: Judge) -> None:
    def bound(guest: GuestEvidence) -> GuestEvidence:
        return replace(guest, console=replace(guest.console, bound="console.log has more than 9 lines"))

    word, findings = judged(change=bound)
    assert word is Word.ERROR
    assert any("more than 9 lines" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("kind", "line", "word"),
    [
        ("hang", "", "FAIL"),
        ("flood", "", "ERROR"),
        ("flood", OOPS, "FAIL"),
        ("frozen", "", "MISS"),
        ("frozen", LOCKUP, "MISS"),
        ("frozen", NMI, "MISS"),
        ("frozen", OOPS, "FAIL"),
        ("lost", "", "MISS"),
        ("lost", LOCKUP, "FAIL"),
    ],
)
def test_incidents(judged: Judge, kind: str, line: str, word: str) -> None:
    assert judged(incidents=(kind,), line=line)[0] == word


def test_a_frozen_sender_excuses_no_lockup_of_the_receiver() -> None:
    told = story("hold")
    told.machine.console.append(LOCKUP)
    told.incident("frozen", "sender")
    assert told.verdict().word is Word.FAIL


def late(guest: GuestEvidence) -> GuestEvidence:
    """Its clock says that a quarter of an hour went by in the last step."""
    *before, last = guest.samples
    return replace(guest, samples=(*before, replace(last, t=last.t + 900)))


@pytest.mark.parametrize(("line", "word"), [("", "MISS"), (LOCKUP, "MISS"), (NMI, "MISS"), (OOPS, "FAIL")])
def test_a_clock_that_ran_too_fast_proves_no_lockup(judged: Judge, line: str, word: str) -> None:
    assert judged(change=late, line=line)[0] == word


@pytest.mark.parametrize(("value", "word"), [(1 << 9, "FAIL"), (1 << 4, "ERROR"), (1 << 12, "PASS")])
def test_a_taint_that_no_console_explains(judged: Judge, value: int, word: str) -> None:
    def tainted(guest: GuestEvidence) -> GuestEvidence:
        return replace(guest, samples=tuple(replace(sample, tainted=value) for sample in guest.samples))

    assert judged(change=tainted)[0] == word


def test_a_console_that_was_not_heard_is_an_error(judged: Judge) -> None:
    for canaries in (slice(0, 0), slice(0, 1), slice(1, 2)):

        def deaf(guest: GuestEvidence, kept: slice = canaries) -> GuestEvidence:
            return replace(guest, console=replace(guest.console, canaries=guest.console.canaries[kept]))

        word, findings = judged(change=deaf)
        assert word is Word.ERROR
        assert any(finding.rule == "heard" for finding in findings if finding.word is Word.ERROR)
