# SPDX-License-Identifier: GPL-2.0-only
"""At the end of memory a stream trickles on: the abuser's very most comes last, and that must not hide the innocent."""

from __future__ import annotations

from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.spoil import innocent_slows
from tests.unit.verdict.told import Story

PAGE = 4096


def trickling() -> Story:
    """A page more just before everybody lets go."""
    told = story("bystander", KERNELS["put-hook"])
    lines, released = told.clients["abuser"], told.event("abuser", "released")
    late = {**told.event("abuser", "holding"), "event": "progress", "t": released["t"] - 0.15}
    late |= {key: late[key] + PAGE for key in ("delivered", "mapped", "pinned", "distinct", "held")}
    at = lines.index(released)
    lines[at:at] = [late, {**late, "t": late["t"] + 0.05}]
    return told


def test_the_rate_is_judged_over_all_the_time_the_abuser_held_nearly_its_most() -> None:
    assert trickling().verdict().word is Word.PASS


def test_an_innocent_that_slows_meanwhile_is_still_seen() -> None:
    told = trickling()
    with_trickle = told.clients["abuser"]
    holding = told.event("abuser", "holding")["t"]
    told.clients["abuser"] = [line for line in with_trickle if line["t"] <= holding]
    innocent_slows(told)
    told.clients["abuser"] = with_trickle
    verdict = told.verdict()
    assert verdict.word is Word.FAIL
    assert [f.rule for f in verdict.findings if f.word is Word.FAIL] == ["isolated"]
