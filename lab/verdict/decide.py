# SPDX-License-Identifier: GPL-2.0-only
"""From findings to one word, and from evidence to a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.contracts import MANIFEST
from lab.evidence.ledger import build_ledger
from lab.evidence.model import Evidence
from lab.evidence.programs import counting
from lab.verdict.case import Case
from lab.verdict.cost import compare
from lab.verdict.model import Finding, Verdict, Word, faults
from lab.verdict.oom import classify

if TYPE_CHECKING:
    from lab.evidence.manifest import Incident

BEFORE_TRAFFIC = ("kernel-alive", "preflight")
"""The rules that can speak when the preflight forbade the traffic."""


def decide(findings: Sequence[Finding], case: Case) -> Word:
    """The ladder, worst first. What nobody vouches for is an ERROR, never a PASS.

    A dead kernel explains every other trouble, so it goes first. After it, trouble of the lab (MISS) and of the
    case (ERROR) forbid both PASS and FAIL: on such ground a broken promise is not proved either. Where all is well
    but that the kernel did not allow what the case is about, nothing was tried, and that is a SKIP.
    """
    words = [f.word for f in findings]
    if faults(findings):
        return Word.FAIL
    if Word.MISS in words:
        return Word.MISS
    yields = {rule.name for rule in case.rules if rule.yields}
    if any(f.word is Word.ERROR and f.rule not in yields for f in findings):
        return Word.ERROR
    if {rule.name for rule in case.rules} - {f.rule for f in findings}:
        return Word.ERROR
    if Word.FAIL in words:
        return Word.FAIL
    if Word.ERROR in words:
        return Word.ERROR
    may_skip = {rule.name for rule in case.rules if rule.may_skip}
    others = [f.word for f in findings if f.word is not Word.SKIP or f.rule not in may_skip]
    if others and all(w is Word.PASS for w in others):
        return Word.PASS if len(others) == len(findings) else Word.SKIP
    if case.compares and {*words} == {Word.PASS, Word.DONE}:
        return Word.DONE
    return Word.ERROR


def judge(evidence: Evidence, case: Case) -> Verdict:
    """The verdict on a bundle of this case. An exception in a rule is a bug."""
    evidence = _counting(evidence, case)
    ledger, oom = build_ledger(evidence, case.subject, case.lines), classify(evidence, case.subject)
    if MANIFEST in evidence.altered:  # it says what ran, and which bytes are evidence: without it nothing is
        finding = Finding("complete", Word.ERROR, evidence.problems[0].partition(": ")[2], MANIFEST)
        return Verdict(Word.ERROR, (finding,), ledger, oom)
    if evidence.manifest.skip:
        finding = Finding("applies", Word.SKIP, evidence.manifest.skip, "manifest.json")
        return Verdict(Word.SKIP, (finding,), ledger, oom)
    own = case.read(evidence) if case.read else None
    if own is not None:
        evidence = replace(evidence, own=own)
    early = held_back(evidence)
    rules = (rule for rule in case.rules if not early or rule.name in BEFORE_TRAFFIC)
    found = (f for rule in rules for f in rule(evidence, case, ledger))
    findings = discounted(found, evidence.manifest.incidents)
    cost = compare(evidence) if case.compares else None
    parts, told = (own.parts, own.told) if own is not None else ((), {})
    return Verdict(decide(findings, case), findings, ledger, oom, cost, parts, told)


def _counting(evidence: Evidence, case: Case) -> Evidence:
    """The evidence without lines of clients that carry a counter of this case wrongly."""
    if case.traffic is None:
        return evidence
    counters = case.traffic.counters
    clients, peers = (
        {name: counting(log, counters) for name, log in logs.items()} for logs in (evidence.clients, evidence.peers)
    )
    preflight = counting(evidence.preflight, counters) if evidence.preflight else None
    reference = _counting(evidence.reference, case) if evidence.reference else None
    return replace(evidence, clients=clients, peers=peers, preflight=preflight, reference=reference)


def discounted(findings: Iterable[Finding], incidents: Iterable[Incident]) -> tuple[Finding, ...]:
    """The findings without faults of a kernel where what was booted was damaged: nobody knows which kernel that was."""
    damaged = [incident.detail for incident in incidents if incident.kind == "damaged"]
    told = tuple(findings)
    if not damaged:
        return told
    why = f"a damaged file was booted ({damaged[0]}), so it counts for nothing that"
    return tuple(replace(f, word=Word.MISS, message=f"{why} {f.message}") if f in faults(told) else f for f in told)


def held_back(evidence: Evidence) -> bool:
    """Whether the driver, without any trouble, started no traffic because of the preflight.

    Then only the rules about what came before can say anything; the case's own stay silent, so this is no PASS.
    """
    if evidence.manifest.incidents or evidence.clients or evidence.peers or evidence.preflight is None:
        return False
    started = any(client.status is not None for client in evidence.manifest.clients)
    return not started and evidence.preflight.last("done") is not None
