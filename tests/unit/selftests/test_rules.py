# SPDX-License-Identifier: GPL-2.0-only
"""Every rule about selftests speaks for a good run, objects to a bad one, and is missed when it is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from lab.evidence.bundle import parse
from lab.evidence.model import Evidence, Ledger
from lab.experiments.found import case_named
from lab.verdict.case import Case, Rule
from lab.verdict.decide import judge
from lab.verdict.model import Finding, Word
from suites.selftests.table import SELFTEST_ROWS
from tests.unit.selftests.told import GOOD, PLAIN, RECEIVED, TCP_MMAP, captures

STREAMED: dict[str, Any] = {"status": None, "peer_status": 124, "floor": 0.8}
GOOD_RUNS = (captures(GOOD), captures(RECEIVED, TCP_MMAP, **STREAMED))
REDS: Mapping[str, dict[str, bytes]] = {
    "applies": captures(GOOD, built="no such header"),
    "output": captures(GOOD.replace(b"ok 2", b"[   12.300000] BUG: scheduling while atomic: x/1/0x2\nok 2")),
    "ended": captures(GOOD, status=139),
    "plan": captures(GOOD.replace(b"1..2", b"1..3")),
    "case": captures(GOOD.replace(b"ok 2", b"not ok 2")),
    "proof": captures(RECEIVED.replace(b"99.995", b"12.5"), TCP_MMAP, **STREAMED),
}


def word_with(files: Mapping[str, bytes], own: Rule | None = None) -> Word:
    """The verdict, with a rule in the place of the case's own of that name."""
    evidence = parse(files)
    case = case_named(evidence.manifest.case)
    if own is not None:
        case = replace(case, rules=tuple(own if rule.name == own.name else rule for rule in case.rules))
    return judge(evidence, case).word


def content(name: str) -> Rule:
    def pleased(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        return [Finding(name, Word.PASS, "always content", "manifest.json")]

    return Rule(name, pleased)


def test_every_rule_of_a_test_speaks_and_says_what_it_asks() -> None:
    for files in GOOD_RUNS:
        evidence = parse(files)
        case = case_named(evidence.manifest.case)
        found = judge(evidence, case)
        assert found.word is Word.PASS
        assert {f.rule for f in found.findings} == {rule.name for rule in case.rules}
        assert all(rule.about for rule in case.rules)


def test_every_rule_has_a_red_side() -> None:
    names = {rule.name for test in (PLAIN, TCP_MMAP) for rule in case_named(test.name).rules}
    assert names - {"kernel-alive", "lab-alive", "complete", "heard"} == REDS.keys()


@pytest.mark.parametrize("rule", [name for name in REDS if name != "applies"])
def test_each_rule_carries_load(rule: str) -> None:
    """With the rule always content, a run that must not be green would be."""
    assert word_with(REDS[rule]) in (Word.FAIL, Word.ERROR)
    assert word_with(REDS[rule], content(rule)) is Word.PASS


def test_what_was_not_built_was_not_run_whoever_is_content() -> None:
    assert word_with(REDS["applies"]) is Word.ERROR
    assert word_with(REDS["applies"], content("applies")) is not Word.PASS


@pytest.mark.parametrize("rule", REDS)
def test_a_silent_rule_is_not_a_pass(rule: str) -> None:
    files = GOOD_RUNS[rule == "proof"]
    assert word_with(files, Rule(rule, lambda *_: [])) is Word.ERROR


def test_a_failure_that_was_told_outweighs_what_was_not_and_nothing_else_does() -> None:
    failed = GOOD.replace(b"not ok 2", b"ok 2").replace(b"ok 2", b"not ok 2").replace(b"1..2", b"1..3")
    assert word_with(captures(failed)) is Word.FAIL
    altered = captures(failed)
    altered["receiver/console.log"] += b"[   90.000000] more\n"
    assert word_with(altered) is Word.ERROR


def test_every_row_is_a_case() -> None:
    for name in SELFTEST_ROWS:
        assert case_named(name).name == name
    assert case_named("net/anything.sh").expect["stock"].value == "PASS"
