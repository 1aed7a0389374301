# SPDX-License-Identifier: GPL-2.0-only
"""What became of each step: a pure function of what the first-level guest left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.text.words import one_line
from tests.kvm.steps import Step

UNREAD = "no line"


@dataclass(frozen=True)
class Outcome:
    """seconds are the first-level guest's; problem is "" for a step that did what it had to."""

    step: Step
    seconds: float
    problem: str
    told: str

    @property
    def decides(self) -> bool:
        return not self.step.cannot

    def __str__(self) -> str:
        word = "ok" if not self.problem else "BAD" if self.decides else "cannot"
        why = f"; {self.problem}" if self.problem else ""
        known = f" ({self.step.cannot})" if self.problem and self.step.cannot else ""
        return f"{word:6} {self.step.name:14} {self.seconds:6.0f} s  {self.told}{why}{known}"


def read_lines(text: str) -> list[dict[str, Any]]:
    """Whole lines that are objects; what else a guest writes counts for nothing."""
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def judge(step: Step, lines: Iterable[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]], log: str) -> Outcome:
    """From the steps' lines, the records of results.jsonl and what the step printed."""
    ended = next((line for line in lines if line.get("ended") == step.name), None)
    if ended is None:
        return Outcome(step, 0.0, "it did not end", UNREAD)
    words = [f"{run.get('case')} {run.get('verdict')}" for run in runs]
    told = one_line(", ".join(words) or _accelerator(log))
    return Outcome(step, _number(ended.get("seconds")), _problem(step, ended.get("status"), runs, log), told)


def _problem(step: Step, status: object, runs: Sequence[Mapping[str, Any]], log: str) -> str:
    if status == 124:
        return f"not done after {step.limit} s"
    if status != 0:
        return one_line(f"exit status {status}: {_last(log)}")
    elsewhere = [run for run in runs if run.get("accelerator") != "kvm"]
    others = [run for run in runs if run.get("as_predicted") is not True]
    if elsewhere:
        return f"{len(elsewhere)} of {len(runs)} runs were not under KVM"
    if others or len(runs) != step.runs:
        return f"{len(runs)} runs, {len(others)} not as predicted; {step.runs} are due"
    return "" if step.runs or "KVM: a guest" in log else "it did not boot a guest under KVM"


def _accelerator(log: str) -> str:
    """doctor's line, which begins with the name of the check."""
    return next((line for line in log.splitlines() if line.startswith("accelerator")), "")


def _last(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
