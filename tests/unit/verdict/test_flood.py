# SPDX-License-Identifier: GPL-2.0-only
"""A guest that said more than a channel may carry: an ERROR, and all else follows from it; but a crash is a crash."""

from __future__ import annotations

from lab.verdict.model import Word
from tests.unit.verdict.builder import story

OOPS = "[  101.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008"


def test_a_flood_is_an_error_that_names_the_guest() -> None:
    told = story("release")
    told.incident("flood", "sender")
    verdict = told.verdict()
    assert verdict.word is Word.ERROR
    assert [f.message for f in verdict.findings if f.rule == "lab-alive"] == ["flood on the sender: as told"]


def test_programs_that_ended_with_the_guest_are_no_other_trouble() -> None:
    """Nobody saw them end: without the flood that is a MISS."""
    told = story("release")
    told.manifest["clients"][0].update(status=None, sender_status=None)
    assert told.verdict().word is Word.MISS
    told.incident("flood")
    assert told.verdict().word is Word.ERROR


def test_a_crash_before_the_flood_is_a_fault_of_the_kernel() -> None:
    told = story("release")
    told.machine.console.append(OOPS)
    told.incident("flood")
    assert told.verdict().word is Word.FAIL


def test_other_trouble_of_the_lab_is_told_beside_it() -> None:
    told = story("release")
    told.incident("flood")
    told.incident("frozen")
    assert told.verdict().word is Word.MISS
