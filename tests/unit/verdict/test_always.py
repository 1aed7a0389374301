# SPDX-License-Identifier: GPL-2.0-only
"""What holds in every case: what it must not object to, and what a prediction of FAIL does not excuse."""

from __future__ import annotations

from lab.units import MIB
from lab.verdict.model import Word
from lab.verdict.predict import agrees
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS


def test_page_cache_may_outlive_its_process() -> None:
    """Text that was evicted at the end of memory and read again is charged to whoever read it."""
    told = story("hold")
    for sample in (*told.machine.telemetry, *told.checkpoints):
        for group in (*sample["cg"].values(), *([sample["parent"]] if "parent" in sample else [])):
            group["current"] += MIB
            group["peak"] += MIB
            group["stat"]["file"] = MIB
    assert told.verdict().word is Word.PASS


def test_a_broken_invariant_is_never_as_predicted() -> None:
    told = story("hold", KERNELS["stock"])
    assert agrees(told.verdict().word, "FAIL", kernel_fault=told.verdict().kernel_fault)
    after = told.checkpoint("after")
    after["parent"]["current"] += MIB
    verdict = told.verdict()
    assert verdict.word is Word.FAIL
    assert not agrees(verdict.word, "FAIL", kernel_fault=verdict.kernel_fault)
