# SPDX-License-Identifier: GPL-2.0-only
"""The tool itself: it takes away, and makes nothing up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lab.evidence.bundle import parse
from lab.evidence.model import Evidence
from lab.units import MIB
from tests.speed.thinned import KEPT, Host, thinned
from tests.speed.warp import Stretch, Warp
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS


def evidence(host: Host, case: str = "hold", design: str = "stock") -> Evidence:
    return parse(thinned(story(case, KERNELS[design]).files(), host))


def test_a_warp_goes_on_where_a_stretch_ends() -> None:
    warp = Warp([Stretch(10, 20, 0.5), Stretch(20, 30, 1.0), Stretch(30, 34, 0.25)])
    assert [warp(t) for t in (0, 10, 14, 20, 30, 34, 35)] == [0, 10, 12, 15, 25, 26, 27]
    assert warp.behind(100)(114) == 112


def test_the_same_host_gives_the_same() -> None:
    told = story("hold", KERNELS["stock"])
    before, after = parse(told.files()), parse(thinned(told.files(), Host(1)))
    assert after.receiver == before.receiver
    assert after.clients == before.clients
    assert not after.problems


def test_a_manifest_is_sealed_anew() -> None:
    assert not evidence(Host(8)).problems
    assert not evidence(Host(8)).altered


@pytest.mark.parametrize("times", [2, 8, 32])
def test_samples_come_ten_times_a_second_and_around_checkpoints(times: float) -> None:
    before, after = evidence(Host(1)).receiver, evidence(Host(times)).receiver
    assert len(after.samples) < len(before.samples)
    assert {s.meminfo["MemFree"] for s in after.samples} <= {s.meminfo["MemFree"] for s in before.samples}
    for checkpoint in after.checkpoints:
        assert any(s.t <= checkpoint.t for s in after.samples)
        assert any(s.t > checkpoint.t for s in after.samples)
    assert not after.missing


def test_a_busy_host_has_no_sample_more() -> None:
    before, after = evidence(Host(1)).receiver, evidence(Host(0.25)).receiver
    assert len(after.samples) == len(before.samples)
    assert after.gap == pytest.approx(4 * before.gap, rel=0.01)


def test_phases_show_other_samples() -> None:
    seen = [tuple(s.meminfo["MemFree"] for s in evidence(Host(8, phase)).receiver.samples) for phase in (0.0, 0.5)]
    assert seen[0] != seen[1]


def test_a_client_says_a_line_for_what_it_keeps() -> None:
    held = [e.count("held") for e in evidence(Host(32)).clients["abuser"].events if e.event == "progress"]
    assert max(b - a for a, b in pairwise(held)) <= max(KEPT, 8 * MIB)  # as told: 8 MiB a step
    fewer = [e for e in evidence(Host(32, by_bytes=False)).clients["abuser"].events if e.event == "progress"]
    assert len(fewer) < len(held)


def test_what_is_held_to_a_rate_gets_no_faster() -> None:
    told = story("copy-control", KERNELS["stock"])
    told.record("abuser")["sender_argv"] = ["zc-sender", "--rate", str(128 * MIB)]
    took = [_seconds(parse(thinned(told.files(), Host(32, held_to_rate=held)))) for held in (True, False)]
    assert took[0] == pytest.approx(0.45, rel=0.2)  # hardly 64 MiB at 128 MiB/s
    assert took[1] < 0.1


def _seconds(found: Evidence) -> float:
    events = found.clients["abuser"].events
    return events[-1].t - next(e.t for e in events if e.event == "accepted")
