# SPDX-License-Identifier: GPL-2.0-only
"""What is a client's own charge, when the sample that tells it was read late: first bytes are there by then."""

from __future__ import annotations

import pytest

from lab.evidence.bundle import parse
from lab.units import MIB, PAGE_SIZE
from lab.verdict.measure import own_charge
from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import Json
from tests.unit.verdict.spoil import charge_at
from tests.unit.verdict.told import Story

CAME = 768 * 1024


def last_before_the_stream(told: Story, client: str) -> Json:
    """The sample that was begun last before the client had accepted its connections."""
    accepted = next(e["t"] for e in told.clients[client] if e["event"] == "accepted")
    return [s for s in told.machine.telemetry if s["t"] <= accepted][-1]


def mapped(sample: Json, client: str) -> None:
    sample["cg"][client]["stat"]["file_mapped"] += CAME


def told_as_sock(sample: Json, client: str) -> None:
    sample["cg"][client]["stat"]["sock"] += CAME


def queued(sample: Json, _client: str) -> None:
    sample["net"]["tcp_mem_pages"] += CAME // PAGE_SIZE


@pytest.mark.parametrize("how", [mapped, told_as_sock, queued])
def test_what_came_while_a_sample_was_read_is_not_the_clients_own(how) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    told = story("cross-memcg")
    sample = last_before_the_stream(told, "a2")
    sample["cg"]["a2"]["current"] += CAME
    how(sample, "a2")
    assert told.verdict().word is Word.PASS


def in_samples(told: Story, client: str, since: float, *counters: str, size: int) -> None:
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if client in sample["cg"] and sample["t"] >= since and sample["cg"][client]["procs"]:
            for counter in counters:
                sample["cg"][client][counter] += size
            if "parent" in sample:
                sample["parent"]["current"] += size


def test_a_clients_own_is_what_it_was_charged_before() -> None:
    """By a sample that was whole when the last one before the stream was begun."""
    told = story("release")
    last = last_before_the_stream(told, "abuser")["t"]
    since = next(s["t"] for s in reversed(told.machine.telemetry) if s["t"] < last)
    in_samples(told, "abuser", since, "current", "peak", size=3 * MIB)
    assert told.verdict().word is Word.PASS


def test_a_charge_that_may_be_the_clients_own_or_not_is_no_proof_either_way() -> None:
    """It comes in the last sample before the stream and is there after release: its own, or leaked."""
    told = story("release")
    in_samples(told, "abuser", last_before_the_stream(told, "abuser")["t"], "current", "peak", size=3 * MIB)
    assert told.verdict().word is Word.ERROR


def of_named_kinds(told: Story, size: int) -> None:
    """What memory.stat says of a client that has nothing but its process."""
    for sample in (*told.machine.telemetry, *told.checkpoints):
        for group in sample["cg"].values():
            group["stat"]["kernel"] = size


def test_a_leak_is_no_clients_own_where_its_memory_is_of_other_kinds() -> None:
    told = story("release")
    in_samples(told, "abuser", last_before_the_stream(told, "abuser")["t"], "current", "peak", size=3 * MIB)
    of_named_kinds(told, MIB // 8)
    assert told.verdict().word is Word.FAIL


@pytest.mark.parametrize(("kinds", "word"), [(False, Word.ERROR), (True, Word.PASS)])
def test_bytes_that_came_while_a_sample_was_read_and_no_counter_names(kinds: bool, word: Word) -> None:
    """memory.stat lags, so neither `file_mapped` nor `sock` tells of them: unmap-hook, debug build."""
    told = story("cross-memcg")
    last_before_the_stream(told, "a2")["cg"]["a2"]["current"] += 2 * CAME
    if kinds:
        of_named_kinds(told, MIB // 8)
    assert told.verdict().word is word


def test_where_no_sample_saw_the_client_before_its_first_byte_nothing_is_known() -> None:
    told = story("release")
    charge_at(told, "released", 2 * MIB)
    assert told.verdict().word is Word.FAIL
    accepted = told.event("abuser", "accepted")["t"]
    for sample in told.machine.telemetry:
        if sample["t"] <= accepted:
            sample["cg"].pop("abuser", None)
    found = own_charge(parse(told.files()), "abuser")
    assert found.low == 0
    assert found.high > 500 * MIB
    assert told.verdict().word is Word.ERROR
