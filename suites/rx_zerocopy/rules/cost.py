# SPDX-License-Identifier: GPL-2.0-only
"""Rules of the case `cost`: does the reference stand on firm ground, and is the ratio sound?"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator

from lab.evidence.ledger import build_ledger
from lab.evidence.model import Evidence, Ledger
from lab.evidence.names import INSTRUCTIONS, REFERENCE
from lab.verdict.case import Case, rule
from lab.verdict.cost import TURN, Cost, Turn, compare, turns_of
from lab.verdict.measure import passed, unclear
from lab.verdict.model import Finding, Word

COUNTS = f"receiver/{INSTRUCTIONS}"

WIDEST = 0.03
"""Half the interval, as a share of the ratio, beyond which a ratio says too little."""

SHARES_APART = 0.05
"""How far the mapped shares of the two sides may lie apart: a copied byte costs other work than a mapped one."""

CLOCKS_APART_S, CLOCKS_APART = 0.25, 0.10
"""Seconds, and share of a transfer, by which the clocks of guest and host may disagree about its duration."""

_GUARDS = ("kernel-alive", "lab-alive", "complete", "preflight", "exercised")
"""Rules of this side that are asked of the reference too."""


@rule("reference")
def reference(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The rules that guard this side judge the reference too: without firm ground there is nothing to compare with."""
    other = evidence.reference
    if other is None:
        return [unclear("reference", "there is no bundle of a reference kernel", "manifest.json")]
    theirs = build_ledger(other, case.subject, case.lines)
    found = [
        f
        for asked in case.rules
        if asked.name in _GUARDS
        for f in asked(other, case, theirs)
        if f.word is not Word.PASS
    ]
    name = other.manifest.kernel.name
    return [_about_reference(f) for f in found] or [
        passed(
            "reference",
            f"the reference {name} did the same, and nothing is wrong with it",
            f"{REFERENCE}/manifest.json",
        )
    ]


def _about_reference(finding: Finding) -> Finding:
    """A fault of the reference kernel is not one of the kernel under test."""
    word = Word.MISS if finding.word is Word.MISS else Word.ERROR
    return Finding("reference", word, f"reference: {finding.message}", f"{REFERENCE}/{finding.pointer}")


@rule("cost")
def cost(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Instructions and seconds for each MB, kernel over reference; DONE when the measurement is sound."""
    unsound = [*_uncounted(evidence, case)] or [*_clocks(evidence), *_shares(evidence)]
    if unsound:
        return unsound
    measured = compare(evidence)
    if measured is None:
        return [unclear("cost", "there are not two turns of each kind and side with work to compare", COUNTS)]
    return [*_too_wide(measured), *_self_check(evidence, measured)] or [_measured(measured)]


def _sides(evidence: Evidence) -> Iterator[tuple[str, str, Evidence]]:
    yield "the kernel under test", COUNTS, evidence
    if evidence.reference is not None:
        yield "the reference", f"{REFERENCE}/{COUNTS}", evidence.reference


def _uncounted(evidence: Evidence, case: Case) -> Iterator[Finding]:
    for side, path, found in _sides(evidence):
        marks, turns = found.counts, turns_of(found)
        if marks is None:
            yield unclear("cost", f"the counts of {side} are cut short or out of order", path)
        elif len(marks) != 2 * len(case.clients) or len(turns) != len(case.clients):
            message = (
                f"{side} has {len(turns)} counted turns and {len(marks)} marks, {len(case.clients)} turns are needed"
            )
            yield unclear("cost", message, path)
        elif min(t.instructions for t in turns) == 0:
            yield unclear("cost", f"{side} moved bytes without an instruction: nothing was counted", path)


def _clocks(evidence: Evidence) -> Iterator[Finding]:
    """The second witness: counts belong to these transfers when the host saw them last as long as the guest did."""
    for side, path, found in _sides(evidence):
        for turn in turns_of(found):
            if abs(turn.clock - turn.seconds) > CLOCKS_APART_S + CLOCKS_APART * turn.seconds:
                message = (
                    f"{turn.client} of {side} lasted {turn.seconds:.2f} s in the guest, its count {turn.clock:.2f} s"
                )
                yield unclear("cost", message, path)


def _shares(evidence: Evidence) -> Iterator[Finding]:
    medians = [_median_share(turns_of(found)) for _, _, found in _sides(evidence)]
    if abs(medians[0] - medians[-1]) > SHARES_APART:
        message = f"{medians[0]:.0%} of the bytes were mapped, {medians[-1]:.0%} on the reference: not the same work"
        yield unclear("cost", message, COUNTS)


def _median_share(turns: tuple[Turn, ...]) -> float:
    return statistics.median(t.share for t in turns if t.kind == TURN)


def _too_wide(measured: Cost) -> Iterator[Finding]:
    ratio = measured.instructions
    if ratio.high - ratio.low > 2 * WIDEST * ratio.value:
        yield unclear("cost", f"instructions for a MB are {ratio} of the reference's: no closer than that", COUNTS)


def _self_check(evidence: Evidence, measured: Cost) -> Iterator[Finding]:
    """The same kernel on both sides must cost the same, else the method measures something else."""
    other = evidence.reference
    same = other is not None and other.manifest.kernel.sha256 == evidence.manifest.kernel.sha256
    if same and not measured.sure.low <= 1 <= measured.sure.high:
        yield unclear("cost", f"the same kernel on both sides costs {measured.sure} of itself", COUNTS)


def _measured(measured: Cost) -> Finding:
    work, rate = measured.per_mb, measured.mb_per_s
    message = (
        f"instructions for a MB are {measured.instructions} of the reference's ({work[0]:,.0f} and {work[1]:,.0f}), "
        f"MB/s {measured.rate} ({rate[0]:.0f} and {rate[1]:.0f}); {measured.turns} turns of each, "
        f"whose instructions vary by {measured.spread:.1%}"
    )
    return Finding("cost", Word.DONE, message, COUNTS)
