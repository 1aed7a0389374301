# SPDX-License-Identifier: GPL-2.0-only
"""Runs without traffic: the preflight forbade it, or the run does not apply. Never a PASS, never a FAIL."""

from __future__ import annotations

import pytest

from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import Story


def without_traffic(mapped: float) -> Story:
    """A run that ended after a preflight in which that share of the bytes was mapped."""
    told = story("hold")
    told.clients.clear()
    told.senders.clear()
    told.checkpoints.clear()
    for record in told.manifest["clients"]:
        record["status"] = record["sender_status"] = None
    for line in told.preflight:
        if "mapped" in line:
            line["mapped"] = int(line["delivered"] * mapped)
    return told


def test_a_failed_preflight_is_an_error_and_nothing_else_is_said() -> None:
    verdict = without_traffic(mapped=0.0).verdict()
    assert verdict.word is Word.ERROR
    assert {f.rule: f.word for f in verdict.findings} == {"kernel-alive": Word.PASS, "preflight": Word.ERROR}


def test_no_traffic_after_a_good_preflight_is_no_pass() -> None:
    assert without_traffic(mapped=1.0).verdict().word is Word.ERROR


def test_a_kernel_that_dies_before_traffic_is_still_to_blame() -> None:
    told = without_traffic(mapped=0.0)
    told.machine.console.append("[  101.0] Kernel panic - not syncing: Fatal exception")
    assert told.verdict().word is Word.FAIL


@pytest.mark.parametrize("kind", ["boot", "lost", "qemu-exit", "interrupted"])
def test_trouble_before_traffic_is_a_miss(kind: str) -> None:
    told = without_traffic(mapped=0.0)
    told.incident(kind)
    assert told.verdict().word is Word.MISS


def test_lost_output_of_clients_that_ran_does_not_count_as_held_back() -> None:
    told = story("hold")
    told.clients.clear()
    told.senders.clear()
    rules = {f.rule for f in told.verdict().findings}
    assert told.verdict().word in (Word.ERROR, Word.MISS)
    assert "billed" in rules


def test_a_run_that_does_not_apply_is_a_skip_with_its_reason() -> None:
    told = without_traffic(mapped=0.0)
    told.manifest["skip"] = "igb needs QEMU 8, this host has 7.2.22"
    verdict = told.verdict()
    assert verdict.word is Word.SKIP
    assert [f.message for f in verdict.findings] == ["igb needs QEMU 8, this host has 7.2.22"]


@pytest.mark.parametrize("case", ["copy-control", "sock-control"])
def test_a_case_that_maps_nothing_has_a_verdict_on_a_nic_that_maps_nothing(case: str) -> None:
    told = story(case)
    told.preflight[0].update(mapped=0)
    assert told.verdict().word is Word.PASS
    told.preflight[0].update(event="progress")  # the preflight itself has to work
    assert told.verdict().word is Word.ERROR
