# SPDX-License-Identifier: GPL-2.0-only
"""A verdict does not depend on how fast its host was: stored runs, and runs as told, as other hosts would give them."""

from __future__ import annotations

from functools import cache

import pytest

from lab.evidence.bundle import parse, read_manifest
from lab.verdict.model import Word
from tests.known import CASES, judge, predicted
from tests.speed.corpus import Bundles, kept
from tests.speed.thinned import Host, thinned
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS

HOSTS = (Host(0.25), Host(1), Host(2, 0.3), Host(4), Host(8, 0.6), Host(16), Host(32), Host(32, 0.6))
FREE = tuple(Host(times, phase, held_to_rate=False) for times, phase in ((4, 0.3), (16, 0.6), (32, 0.0)))
"""Without the rate that streams to the case's subject are held to: only what the kernel says is left."""


@cache
def bundles() -> Bundles:
    return kept()


NAMES = sorted(bundles())


def word(files: dict[str, bytes], host: Host) -> Word:
    return judge(parse(thinned(files, host))).word


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_run_has_the_predicted_word_at_every_speed(name: str) -> None:
    files = bundles()[name]
    manifest = read_manifest(files)
    kernel = manifest.kernel
    expected = predicted(kernel.design, manifest.nic, manifest.case, kernel.release).value
    words = {host: word(files, host).value for host in (*HOSTS, *FREE)}
    assert set(words.values()) == {judge(parse(files)).word.value}, words
    assert expected in (*words.values(), "open")


@pytest.mark.parametrize("design", KERNELS)
@pytest.mark.parametrize("case", [c for c in CASES if c != "cost"])
def test_a_run_as_told_keeps_its_word(case: str, design: str) -> None:
    files = story(case, KERNELS[design]).files()
    expected = judge(parse(files)).word
    assert {host: word(files, host) for host in (Host(0.25), Host(4), Host(32))} == dict.fromkeys(
        (Host(0.25), Host(4), Host(32)), expected
    )


def test_every_case_that_stock_or_precharge_can_try_is_there() -> None:
    there = {read_manifest(files).case for files in bundles().values()}
    elsewhere = {"opt-in", "visible", "reclaim", "cost"}
    too_long = {"turnover-4g", "race"}  # minutes of samples, and what they are judged by is counted at the end
    assert there == CASES.keys() - elsewhere - too_long


# -- the red side: what each witness is worth


def killed() -> dict[str, bytes]:
    return next(files for name, files in bundles().items() if name.endswith(".copy-control"))


INSTANT = Host(256, held_to_rate=False)


def test_a_client_that_speaks_by_the_clock_alone_dies_without_a_word() -> None:
    assert word(killed(), INSTANT) is Word.PASS
    assert word(killed(), Host(256, held_to_rate=False, by_bytes=False)) is Word.ERROR


@pytest.mark.parametrize("host", [Host(1), Host(32), INSTANT])
def test_a_kill_whose_report_is_lost_is_no_pass(host: Host) -> None:
    files = killed()
    console = b"\n".join(
        line for line in files["receiver/console.log"].split(b"\n") if b"oom" not in line and b"illed" not in line
    )
    assert word(resealed(files, {"receiver/console.log": console}), host) is Word.ERROR


@pytest.mark.parametrize("host", [Host(32), INSTANT])
def test_a_client_that_says_nothing_is_no_pass(host: Host) -> None:
    files = killed()
    lines = files["clients/abuser.jsonl"].split(b"\n")
    silent = b"\n".join(line for line in lines if b'"progress"' not in line)
    assert word(resealed(files, {"clients/abuser.jsonl": silent}), host) is Word.ERROR


@pytest.mark.parametrize("host", [Host(1), Host(32)])
def test_telemetry_that_never_saw_the_client_is_no_pass(host: Host) -> None:
    files = killed()
    lines = files["receiver/telemetry.jsonl"].split(b"\n")
    unseen = b"\n".join(line.replace(b'"abuser"', b'"other"') for line in lines)
    assert word(resealed(files, {"receiver/telemetry.jsonl": unseen}), host) is Word.ERROR


def resealed(files: dict[str, bytes], changed: dict[str, bytes]) -> dict[str, bytes]:
    """With other files in it, vouched for: what a run would have left that lacked something."""
    return thinned({**files, **changed}, Host(1))
