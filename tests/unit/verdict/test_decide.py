# SPDX-License-Identifier: GPL-2.0-only
"""The ladder, rung by rung."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.evidence.bundle import parse
from lab.evidence.manifest import Incident
from lab.verdict.decide import decide, discounted
from lab.verdict.model import Finding, Word
from tests.known import CASES
from tests.unit.verdict.builder import story

HOLD = CASES["hold"]
NAMES = [rule.name for rule in HOLD.rules]
GREEN = tuple(Finding(name, Word.PASS, "well", "manifest.json") for name in NAMES)


def with_words(**words: Word) -> tuple[Finding, ...]:
    """All green but the rules named (underscores for hyphens)."""
    named = {rule.replace("_", "-"): word for rule, word in words.items()}
    return tuple(Finding(f.rule, named.get(f.rule, f.word), f.message, f.pointer) for f in GREEN)


@pytest.mark.parametrize(
    ("findings", "word"),
    [
        (GREEN, Word.PASS),
        ((), Word.ERROR),
        (GREEN[1:], Word.ERROR),
        (with_words(billed=Word.FAIL), Word.FAIL),
        (with_words(billed=Word.FAIL)[1:], Word.ERROR),
        (with_words(billed=Word.FAIL, witnesses=Word.ERROR), Word.ERROR),
        (with_words(billed=Word.FAIL, lab_alive=Word.MISS), Word.MISS),
        (with_words(complete=Word.ERROR, lab_alive=Word.MISS), Word.MISS),
        (with_words(kernel_alive=Word.FAIL, complete=Word.ERROR, lab_alive=Word.MISS), Word.FAIL),
        (with_words(kernel_alive=Word.ERROR), Word.ERROR),
        (with_words(billed=Word.DONE), Word.ERROR),
        (with_words(billed=Word.SKIP), Word.ERROR),
    ],
)
def test_the_ladder(findings: tuple[Finding, ...], word: Word) -> None:
    assert decide(findings, HOLD) is word


def test_what_the_kernel_does_not_allow_is_a_skip_on_sound_ground_only() -> None:
    uring = CASES["pin-uring"]
    refused = [Finding(r.name, Word.SKIP if r.name == "allowed" else Word.PASS, "", "") for r in uring.rules]
    assert decide(refused, uring) is Word.SKIP
    for word in (Word.FAIL, Word.ERROR, Word.MISS):
        assert decide([*refused, Finding("billed", word, "", "")], uring) is word
    assert decide(refused[1:], uring) is Word.ERROR
    assert decide([*refused, Finding("billed", Word.SKIP, "", "")], uring) is Word.ERROR


@pytest.mark.parametrize("kind", ["damaged", "boot"])
def test_what_a_damaged_kernel_did_is_a_miss(kind: str) -> None:
    """Without that incident the same findings are the kernel's fault."""
    dead = with_words(kernel_alive=Word.FAIL, billed=Word.FAIL, lab_alive=Word.MISS)
    incident = Incident.model_validate({"kind": kind, "guest": "", "detail": "/cache/boot is damaged", "t": ""})
    judged = discounted(dead, [incident])
    assert decide(judged, HOLD) is (Word.MISS if kind == "damaged" else Word.FAIL)
    if kind == "damaged":
        (finding,) = (f for f in judged if f.rule == "kernel-alive")
        assert "/cache/boot is damaged" in finding.message
        assert [f for f in judged if f.rule != "kernel-alive"] == [f for f in dead if f.rule != "kernel-alive"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Word)))))
def test_pass_needs_every_rule_and_nothing_else(pairs: list[tuple[str, Word]]) -> None:
    findings = [Finding(rule, word, "", "") for rule, word in pairs]
    if decide(findings, HOLD) is Word.PASS:
        assert {f.word for f in findings} == {Word.PASS}
        assert {f.rule for f in findings} == set(NAMES)


def test_a_case_nobody_knows_is_refused() -> None:
    told = story("hold")
    told.manifest["case"] = "nosuch"
    with pytest.raises(BadInput, match="nosuch"):
        told.verdict()


def test_judging_twice_gives_the_same() -> None:
    evidence = story("bystander").files()
    assert story("bystander").verdict() == story("bystander").verdict()
    assert parse(evidence) == parse(evidence)
