# SPDX-License-Identifier: GPL-2.0-only
"""Runs whose cases are made of parts: a table for people, plain values for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from lab.report.model import RunResult
from lab.report.wording import one_line, worst_first
from lab.verdict.model import Word


def reason(result: RunResult) -> str:
    """The finding that decided; of a PASS the last, for that one is about the case itself."""
    word, findings = result.verdict.word, result.verdict.findings
    deciding = [f for f in findings if f.word is word] or [*worst_first(findings)]
    if not deciding:
        return ""
    return one_line(deciding[-1 if word is Word.PASS else 0].message)


def seconds(result: RunResult) -> float:
    """Wall time of the run."""
    told = result.manifest.seconds
    return round(told.provision + told.drive + told.collect, 1)


def table(results: Sequence[RunResult]) -> Table:
    """A row for each run."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("test", "verdict", "cases", "s", "why"):
        shown.add_column(heading, overflow="fold", justify="right" if heading == "s" else "left")
    for result in results:
        words = (result.manifest.case, result.verdict.word.value, parts_text(result), f"{seconds(result):.0f}")
        shown.add_row(*(Text(one_line(cell)) for cell in (*words, reason(result))))
    return shown


def details(results: Sequence[RunResult], folder: str) -> list[str]:
    """Every finding that speaks against a run, with its place in the session's folder."""
    return [
        f"{one_line(result.manifest.case)}: {f.word.value} {f.rule}: {one_line(f.message)} "
        f"[{folder}/{result.bundle}/{f.pointer}]"
        for result in results
        for f in worst_first(result.verdict.findings)
        if f.word not in (Word.PASS, Word.SKIP)
    ]


def parts_text(result: RunResult) -> str:
    """`14 PASS, 2 SKIP`, worst first."""
    counted = Counter(part.word for part in result.verdict.parts)
    return ", ".join(f"{counted[word]} {word.value}" for word in Word if counted[word])


def as_record(result: RunResult, bundle: str) -> dict[str, Any]:
    """Plain values of one test; `bundle` is where its evidence lies."""
    manifest, verdict = result.manifest, result.verdict
    return {
        **verdict.told,
        "test": manifest.case,
        "verdict": verdict.word.value,
        "kernel": manifest.kernel.name,
        "nic": manifest.nic,
        "seconds": seconds(result),
        "findings": [
            {"rule": f.rule, "word": f.word.value, "message": f.message, "pointer": f.pointer} for f in verdict.findings
        ],
        "cases": parts_record(result),
        "bundle": bundle,
        "reproduce": manifest.reproduce,
    }


def parts_record(result: RunResult) -> list[dict[str, Any]]:
    """Plain values of the parts of a run; `line` is that of the output which tells of one, null where it is no line."""
    return [
        {"name": part.name, "verdict": part.word.value, "reason": part.reason, "line": _line(part.pointer)}
        for part in result.verdict.parts
    ]


def _line(pointer: str) -> int | None:
    number = pointer.rpartition(":")[2]
    return int(number) if number.isdigit() else None
