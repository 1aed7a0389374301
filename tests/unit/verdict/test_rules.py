# SPDX-License-Identifier: GPL-2.0-only
"""Every rule speaks for a good run, objects to a bad one, and is missed when it is gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from lab.evidence.bundle import parse
from lab.evidence.model import Evidence, Ledger
from lab.plan.design import Predicted
from lab.verdict.case import Case, Rule
from lab.verdict.model import Finding, Word
from lab.verdict.predict import agrees
from suites.rx_zerocopy.designs import DESIGNS
from tests.known import CASES, judge, predicted
from tests.unit.verdict.builder import at_home, story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.reds import REDS
from tests.unit.verdict.reds_always import ALWAYS_REDS
from tests.unit.verdict.reds_designs import DESIGN_REDS
from tests.unit.verdict.reds_paths import PATH_REDS
from tests.unit.verdict.reds_pools import POOL_REDS
from tests.unit.verdict.spoil import Red

ALL_REDS = (*REDS, *DESIGN_REDS, *PATH_REDS, *POOL_REDS, *ALWAYS_REDS)
RULES = sorted({rule.name for case in CASES.values() for rule in case.rules})
SEVERITY = (Word.MISS, Word.ERROR, Word.FAIL)
GOOD = {Word.PASS, Word.DONE}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_kernel_of_each_design_gets_the_predicted_word(design: str, case: str) -> None:
    expected = predicted(design, *at_home(case))
    if expected is Predicted.SKIP:
        return
    verdict = story(case, KERNELS[design]).verdict()
    assert agrees(verdict.word, expected), verdict.findings
    assert not {f.word for f in verdict.findings} & {Word.ERROR, Word.MISS}


@pytest.mark.parametrize("case", CASES)
def test_every_rule_of_a_case_speaks(case: str) -> None:
    verdict = story(case).verdict()
    assert verdict.word is (Word.DONE if CASES[case].compares else Word.PASS)
    assert {f.rule for f in verdict.findings} == {rule.name for rule in CASES[case].rules}


def test_every_rule_has_a_red_side_and_says_what_it_asks() -> None:
    assert {red.rule for red in ALL_REDS} == set(RULES)
    assert all(rule.about for case in CASES.values() for rule in case.rules)


@pytest.mark.parametrize("red", ALL_REDS, ids=str)
def test_the_rule_objects(red: Red) -> None:
    verdict = red.make().verdict()
    worst = [f for f in verdict.findings if f.rule == red.rule and f.word is red.word]
    assert verdict.word is red.word, verdict.findings
    assert worst, verdict.findings


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_carries_load(rule: str) -> None:
    """With the rule always content, a run that must not be green would be."""
    evidence = [parse(red.make().files()) for red in ALL_REDS if red.rule == rule]
    before = [judge(e).word for e in evidence]
    after = [judge(e, _with(CASES[e.manifest.case], _content(rule))).word for e in evidence]
    assert not GOOD & {*before}
    assert GOOD & {*after}


@pytest.mark.parametrize("rule", RULES)
def test_a_silent_rule_is_not_a_pass(rule: str) -> None:
    silent = Rule(rule, lambda *_: [])
    cases = [case for case in CASES.values() if rule in {r.name for r in case.rules}]
    assert {judge(parse(story(case.name).files()), _with(case, silent)).word for case in cases} == {Word.ERROR}


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

    return Rule(rule, pleased)


def _with(case: Case, rule: Rule) -> Case:
    """The same case with this rule for its own of that name."""
    return replace(case, rules=tuple(rule if own.name == rule.name else own for own in case.rules))


def test_a_failed_allocation_is_no_fault_of_the_kernel() -> None:
    told = story("hold", KERNELS["put-hook"])
    line = "[  101.000000] zc-client: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)"
    told.machine.console += [line, "[  101.000100] Call Trace:"]
    assert told.verdict().word is Word.PASS


def test_a_pool_may_bear_any_name_of_the_form() -> None:
    told = story("release", KERNELS["pool-return"])
    for line in (*told.machine.telemetry, *told.checkpoints):
        line["vmstat"] = {key.replace("netpool", "my_pages"): value for key, value in line["vmstat"].items()}
    assert told.verdict().word is Word.PASS


def test_memory_that_is_gone_names_the_counter_that_was_looked_for() -> None:
    told = story("release", KERNELS["pool-return"])
    for line in (*told.machine.telemetry, *told.checkpoints):
        line["vmstat"] = {key: value for key, value in line["vmstat"].items() if not key.endswith("_cached")}
    findings = [f for f in told.verdict().findings if f.rule == "returned" and f.word is Word.FAIL]
    assert findings
    assert "nr_NAME_cached" in findings[0].message
