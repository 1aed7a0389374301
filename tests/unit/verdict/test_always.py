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


def broken(checkpoint: str, pages: int) -> bool:
    """Whether `balanced` objects to so many pages that are mapped and charged to nobody at that moment."""
    told = story("never-over-lowered", KERNELS["unmap-hook"])
    told.manifest["kernel"]["design"] = "unmap-hook"
    told.checkpoint(checkpoint)["pages"]["mapped_uncharged"] += pages
    return any(f.rule == "balanced" and f.word is Word.FAIL for f in told.verdict().findings)


def test_a_client_that_is_at_it_may_have_a_batch_in_hand() -> None:
    """The limit is lowered half-way, and counted then: what was mapped last may be charged next."""
    assert not broken("lowered", 4)
    assert not broken("lowered", 34)
    assert broken("lowered", 35)


def test_at_rest_every_page_is_charged() -> None:
    assert not broken("held", 2)
    assert broken("held", 3)
