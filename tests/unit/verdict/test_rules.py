# SPDX-License-Identifier: GPL-2.0-only
"""Every rule speaks for a good run, objects to a bad one, and is missed when it is gone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lab.evidence.bundle import parse
from lab.evidence.model import Evidence, Ledger
from lab.plan.cases import CASES, Case
from lab.plan.designs import DESIGNS, Predicted
from lab.verdict.decide import judge
from lab.verdict.measure import Rule
from lab.verdict.model import Finding, Word
from lab.verdict.predict import agrees, predict
from lab.verdict.rules import RULES
from lab.verdict.rules_use import unproven_cases
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.reds import REDS
from tests.unit.verdict.reds_always import ALWAYS_REDS
from tests.unit.verdict.reds_designs import DESIGN_REDS
from tests.unit.verdict.spoil import Red

ALL_REDS = (*REDS, *DESIGN_REDS, *ALWAYS_REDS)
SEVERITY = (Word.MISS, Word.ERROR, Word.FAIL)
GOOD = {Word.PASS, Word.DONE}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_kernel_of_each_design_gets_the_predicted_word(design: str, case: str) -> None:
    predicted = predict(design, "e1000e-split", case)
    if predicted is Predicted.SKIP:
        return
    verdict = story(case, KERNELS[design]).verdict()
    assert agrees(verdict.word, predicted), verdict.findings
    assert not {f.word for f in verdict.findings} & {Word.ERROR, Word.MISS}


@pytest.mark.parametrize("case", CASES)
def test_every_rule_of_a_case_is_in_the_table_and_speaks(case: str) -> None:
    verdict = story(case).verdict()
    assert verdict.word is (Word.DONE if CASES[case].compares else Word.PASS)
    assert {f.rule for f in verdict.findings} == set(CASES[case].rules) <= RULES.keys()


def test_every_case_has_a_proof_of_exercise_and_every_rule_a_red_side() -> None:
    assert not unproven_cases(CASES)
    assert {red.rule for red in ALL_REDS} == RULES.keys()


@pytest.mark.parametrize("red", ALL_REDS, ids=str)
def test_the_rule_objects(red: Red) -> None:
    verdict = red.make().verdict()
    worst = [f for f in verdict.findings if f.rule == red.rule and f.word is red.word]
    assert verdict.word is red.word, verdict.findings
    assert worst, verdict.findings


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_carries_load(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule always content, a run that must not be green would be."""
    evidence = [parse(red.make().files()) for red in ALL_REDS if red.rule == rule]
    before = [judge(e).word for e in evidence]
    monkeypatch.setitem(RULES, rule, _content(rule))
    after = [judge(e).word for e in evidence]
    assert not GOOD & {*before}
    assert GOOD & {*after}


@pytest.mark.parametrize("rule", RULES)
def test_a_silent_rule_is_not_a_pass(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [name for name, case in CASES.items() if rule in case.rules]
    evidence = [parse(story(name).files()) for name in cases]
    monkeypatch.setitem(RULES, rule, lambda *_: [])
    assert {judge(e).word for e in evidence} == {Word.ERROR}


@pytest.mark.parametrize("red", ALL_REDS, ids=str)
def test_findings_point_into_the_bundle(red: Red) -> None:
    files = red.make().files()
    for finding in judge(parse(files)).findings:
        path, _, line = finding.pointer.partition(":")
        lines = files.get(path, b"").count(b"\n")
        assert not line or 1 <= int(line) <= lines, finding


def _content(rule: str) -> Rule:
    def pleased(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        return [Finding(rule, Word.PASS, "always content", "manifest.json")]

    return pleased


def test_a_failed_allocation_is_no_fault_of_the_kernel() -> None:
    told = story("hold", KERNELS["put-hook"])
    line = "[  101.000000] zc-client: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)"
    told.machine.console += [line, "[  101.000100] Call Trace:"]
    assert told.verdict().word is Word.PASS
