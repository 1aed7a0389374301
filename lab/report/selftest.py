# SPDX-License-Identifier: GPL-2.0-only
"""Selftests told: a table for people, JSON lines for programs, KTAP for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from lab.evidence.selftest import SelftestRecord
from lab.report.wording import one_line, worst_first
from lab.verdict.model import Word
from lab.verdict.selftest import SelftestVerdict


@dataclass(frozen=True)
class SelftestResult:
    """A selftest and its verdict. `bundle` is where the evidence lies."""

    record: SelftestRecord
    verdict: SelftestVerdict
    bundle: str


def reason(result: SelftestResult) -> str:
    """The finding that decided."""
    word = result.verdict.word
    findings = worst_first(result.verdict.findings)
    deciding = [f for f in findings if f.word is word] or [*findings]
    if word is Word.PASS:
        deciding.sort(key=lambda f: (f.rule == "kernel-alive", f.rule not in ("proof", "case")))
    return one_line(deciding[0].message) if deciding else ""


def table(results: Sequence[SelftestResult]) -> Table:
    """A row for each test."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("test", "verdict", "cases", "s", "why"):
        shown.add_column(heading, overflow="fold", justify="right" if heading == "s" else "left")
    for result in results:
        record = result.record
        cells = (record.test, result.verdict.word.value, cases_text(result), f"{record.seconds:.0f}", reason(result))
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


def details(results: Sequence[SelftestResult]) -> list[str]:
    """Every finding that speaks against a test, with its place in the bundle."""
    return [
        f"{result.record.test}: {f.word.value} {f.rule}: {one_line(f.message)} [{result.bundle}/{f.pointer}]"
        for result in results
        for f in worst_first(result.verdict.findings)
        if f.word not in (Word.PASS, Word.SKIP)
    ]


def cases_text(result: SelftestResult) -> str:
    """`14 PASS, 2 SKIP`, worst first."""
    counted = Counter(case.word for case in result.verdict.cases)
    return ", ".join(f"{counted[word]} {word.value}" for word in Word if counted[word])


def as_record(result: SelftestResult) -> dict[str, Any]:
    """Plain values of one test."""
    record, verdict = result.record, result.verdict
    return {
        "test": record.test,
        "verdict": verdict.word.value,
        "kernel": record.kernel.name,
        "nic": record.nic,
        "source": record.source,
        "seconds": record.seconds,
        "status": record.status,
        "findings": [
            {"rule": f.rule, "word": f.word.value, "message": f.message, "pointer": f.pointer} for f in verdict.findings
        ],
        "cases": [{"name": c.name, "verdict": c.word.value, "reason": c.reason, "line": c.line} for c in verdict.cases],
        "bundle": result.bundle,
        "reproduce": record.reproduce,
    }


def ktap(results: Sequence[SelftestResult]) -> str:
    """One document: a test in a line, its cases nested. ERROR and MISS are `not ok`: they vouch for nothing."""
    lines = ["KTAP version 1", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        cases = result.verdict.cases
        if cases:
            lines += ["  KTAP version 1", f"  1..{len(cases)}"]
            lines += [f"  {_line(n, c.name, c.word, c.reason)}" for n, c in enumerate(cases, 1)]
        lines.append(_line(number, result.record.test, result.verdict.word, reason(result)))
    return "\n".join(lines) + "\n"


def _line(number: int, name: str, word: Word, why: str) -> str:
    name = one_line(name).replace("#", "_")
    if word is Word.SKIP:
        return f"ok {number} {name} # SKIP {one_line(why)}"
    directive = f" # {word.value} {one_line(why)}" if word in (Word.ERROR, Word.MISS) else ""
    return f"{'ok' if word is Word.PASS else 'not ok'} {number} {name}{directive}"
