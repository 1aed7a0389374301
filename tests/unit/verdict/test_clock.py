# SPDX-License-Identifier: GPL-2.0-only
"""A guest whose clock runs too fast, or that the host kept from running: what it says of time is the lab's fault."""

from __future__ import annotations

import pytest

from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import Story

LOCKUP = "[  101.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [zc-client:77]"
OOPS = "[  101.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008"


def run(*, host: float, console: str = "") -> Story:
    """The host's clock saw the run last `host` times what the guests' clocks say."""
    told = story("release")
    told.manifest["seconds"]["drive"] *= host
    told.machine.console += [console] if console else []
    return told


@pytest.mark.parametrize(("host", "word"), [(0.26, Word.MISS), (0.07, Word.MISS), (1.0, Word.PASS), (1.1, Word.PASS)])
def test_a_clock_that_ran_too_fast_is_the_labs_trouble(host: float, word: Word) -> None:
    assert run(host=host).verdict().word is word


@pytest.mark.parametrize(
    ("host", "console", "word"),
    [(0.07, LOCKUP, Word.MISS), (1.0, LOCKUP, Word.FAIL), (0.07, OOPS, Word.FAIL), (1.0, OOPS, Word.FAIL)],
)
def test_a_lockup_by_such_a_clock_is_none_but_an_oops_is_one(host: float, console: str, word: Word) -> None:
    assert run(host=host, console=console).verdict().word is word


@pytest.mark.parametrize("guest", ["receiver", ""])
def test_a_lockup_of_a_guest_that_had_no_cpu_is_the_hosts(guest: str) -> None:
    told = run(host=1.0, console=LOCKUP)
    told.incident("frozen", guest)
    assert told.verdict().word is Word.MISS


@pytest.mark.parametrize(("guest", "console"), [("sender", LOCKUP), ("receiver", OOPS), ("", OOPS)])
def test_an_oops_of_it_is_none_of_the_hosts_nor_a_lockup_of_the_other(guest: str, console: str) -> None:
    told = run(host=1.0, console=console)
    told.incident("frozen", guest)
    assert told.verdict().word is Word.FAIL


def test_a_gap_alone_is_a_miss() -> None:
    told = run(host=1.0)
    told.incident("frozen")
    assert told.verdict().word is Word.MISS


def test_a_host_that_saw_no_time_pass_is_told_as_well() -> None:
    assert run(host=0).verdict().word is Word.MISS


def test_telemetry_may_go_on_while_the_lab_looks_into_an_incident() -> None:
    told = run(host=0.07, console=LOCKUP)
    told.incident("lost")
    assert told.verdict().word is Word.FAIL
