# SPDX-License-Identifier: GPL-2.0-only
"""How long telemetry may be silent while programs run: longer on a kernel with all of its own checks on."""

from __future__ import annotations

import pytest

from lab.evidence.bundle import parse
from lab.plan.limits import DEBUG_FRAGMENT, DEBUG_TIMES
from lab.verdict.model import Word
from lab.verdict.rules_lab import MAX_SILENCE_S
from tests.known import judge
from tests.unit.verdict.builder import story
from tests.unit.verdict.spoil import fewer
from tests.unit.verdict.told import Story

SLOWER = 12


def slow() -> Story:
    """A run that took so many times as long as others do."""
    told = story("hold")
    logs = [*told.clients.values(), *told.senders.values(), told.preflight, told.machine.telemetry]
    for line in (line for log in (*logs, told.sender_telemetry, told.checkpoints) for line in log):
        line["t"] *= SLOWER
    told.manifest["seconds"]["drive"] *= SLOWER
    return told


@pytest.mark.parametrize(
    ("fragments", "hole", "silent"),
    [
        ((), 0.5 * MAX_SILENCE_S, False),
        ((), 1.1 * MAX_SILENCE_S, True),
        ((DEBUG_FRAGMENT,), 1.1 * MAX_SILENCE_S, False),
        ((DEBUG_FRAGMENT,), 1.1 * DEBUG_TIMES * MAX_SILENCE_S, True),
    ],
)
def test_a_hole_in_the_telemetry(fragments: tuple[str, ...], hole: float, silent: bool) -> None:
    told = slow()
    told.manifest["kernel"] = {**told.manifest["kernel"], "fragments": fragments}
    times = [sample["t"] for sample in told.machine.telemetry]
    middle = (times[0] + times[-1]) / 2
    fewer(told, middle, middle + hole)
    found = [f.word for f in judge(parse(told.files())).findings if "was silent for" in f.message]
    assert found == ([Word.ERROR] if silent else [])
