# SPDX-License-Identifier: GPL-2.0-only
"""Between the report of an OOM kill and the end of the process, its memory is where it was, or already free."""

from __future__ import annotations

import pytest

from lab.units import MIB
from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.told import Story


def still_there(told: Story, size: int, procs: int) -> None:
    """When the innocent has been reported killed, `size` of anonymous memory, and `procs` of its process, are left."""
    for sample in told.machine.telemetry:
        group = sample["cg"].get("innocent")
        if group and group["events"]["oom_kill"]:
            group["procs"] = procs
            sample["meminfo"]["AnonPages"] += size
            sample["meminfo"]["MemFree"] -= size


@pytest.mark.parametrize(
    ("size", "procs", "word"),
    [(24 * MIB, 1, Word.FAIL), (8 * MIB, 1, Word.FAIL), (24 * MIB, 0, Word.ERROR), (96 * MIB, 1, Word.ERROR)],
)
def test_a_process_that_is_dying_may_keep_what_it_had_and_no_more(size: int, procs: int, word: Word) -> None:
    told = story("bystander", KERNELS["stock"])
    still_there(told, size, procs)
    verdict = told.verdict()
    assert verdict.word is word, [f.message for f in verdict.findings if f.word is Word.ERROR]
    kept = next(f.message for f in verdict.findings if "in anonymous memory" in f.message)
    assert ("one that is dying up to" in kept) is bool(procs)
