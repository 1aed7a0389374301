# SPDX-License-Identifier: GPL-2.0-only
"""The arithmetic of free memory, and the ledger on a run that is known exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.evidence.bundle import parse
from lab.evidence.ledger import bracket, build_ledger, state_at
from lab.evidence.memory import EXPLAINED, baseline, gone, is_at_rest, unexplained
from lab.evidence.model import Ledger, Sample
from lab.units import MIB, PAGE_SIZE
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.told import Story


def sample(t: float = 0.0, pcp_pages: int = 0, **meminfo: int) -> Sample:
    base = {"MemTotal": 1000 * MIB, "MemFree": 1000 * MIB}
    return Sample(t, 0, {**base, **meminfo}, {}, {}, pcp_pages, 0, {})


def ledger(told: Story) -> Ledger:
    return build_ledger(parse(told.files()), told.case.subject)


def test_an_idle_guest_has_nothing_unexplained() -> None:
    assert unexplained(sample()) == 0


@pytest.mark.parametrize("key", [key for key, _ in EXPLAINED])
def test_memory_with_a_name_is_explained_once(key: str) -> None:
    assert unexplained(sample(MemFree=900 * MIB, **{key: 100 * MIB})) == 0


@pytest.mark.parametrize(
    "key", ["Mapped", "Shmem", "KernelStack", "MemAvailable", "Mlocked", "AnonHugePages", "SReclaimable"]
)
def test_lines_that_overlap_or_estimate_explain_nothing(key: str) -> None:
    assert unexplained(sample(MemFree=900 * MIB, **{key: 100 * MIB})) == 100 * MIB


def test_pages_on_per_cpu_lists_are_free() -> None:
    assert unexplained(sample(MemFree=1000 * MIB - 7 * PAGE_SIZE, pcp_pages=7)) == 0


def test_what_a_shrinker_gives_back_is_not_gone() -> None:
    cached = {"SReclaimable": 10 * MIB, "KReclaimable": 74 * MIB, "Slab": 10 * MIB}
    assert unexplained(sample(MemFree=926 * MIB, **cached)) == 0
    by_vmstat = sample(MemFree=936 * MIB)
    pool = Sample(0, 0, by_vmstat.meminfo, {"nr_netpool_cached": 64 * MIB // PAGE_SIZE}, {}, 0, 0, {})
    assert unexplained(pool) == 0


def test_gone_is_growth_since_the_baseline() -> None:
    evidence = parse(story("hold", KERNELS["stock"]).files())
    start, held = baseline(evidence), evidence.receiver.checkpoint("held")
    assert start
    assert held
    assert start.name == "baseline"
    assert gone(held, start) == 256 * MIB


@pytest.mark.parametrize(
    ("charges", "rests"),
    [
        ({0.0: 60, 0.1: 60, 0.2: 60, 0.3: 60, 0.41: 60}, True),
        ({0.0: 20, 0.1: 60, 0.2: 60, 0.3: 60, 0.4: 60, 0.51: 60}, True),  # what was before does not count
        ({0.0: 60, 0.1: 60, 0.2: 60, 0.3: 60, 0.41: 61}, False),
        ({0.0: 60, 0.1: 55, 0.2: 60, 0.3: 60, 0.41: 60}, False),
        ({0.0: 60, 0.1: 60, 0.2: 60, 0.3: 60}, False),
        ({0.0: 60, 0.01: 60, 0.02: 60, 0.1: 60, 0.12: 60, 0.2: 60}, False),  # many samples, but no time
        ({}, False),
    ],
)
def test_a_charge_is_at_rest_when_it_has_not_moved_for_long_enough(charges: dict[float, int], rests: bool) -> None:
    samples = parse(story("never-over").files()).receiver.samples
    group = next(s.cgroups["abuser"] for s in samples if "abuser" in s.cgroups)
    seen = [replace(sample(t), cgroups={"abuser": replace(group, current=mib * MIB)}) for t, mib in charges.items()]
    assert is_at_rest(seen, "abuser") is rests
    assert not is_at_rest(seen, "nobody")


def test_brackets() -> None:
    samples = (sample(1.0), sample(1.1), sample(2.0))
    assert bracket(samples, 1.05) == (samples[0], samples[1])
    assert bracket(samples, 1.1) == (samples[1], samples[1])
    assert bracket(samples, 1.2) is None
    assert bracket(samples, 0.9) is None
    assert bracket(samples, 2.1) is None
    assert bracket((), 1.0) is None


def test_the_settled_checkpoint_is_the_last_line() -> None:
    told = story("hold", KERNELS["stock"])
    last = ledger(told).last
    assert last
    assert (last.t, last.held, last.moving) == (told.checkpoint("held")["t"], 256 * MIB, 0)
    assert last.gone == 256 * MIB
    assert last.escape > 255 * MIB


def test_without_it_the_moment_of_most_that_is_known_most_closely_is() -> None:
    told = story("hold", KERNELS["stock"])
    told.checkpoints.remove(told.checkpoint("held"))
    found = ledger(told)
    assert found.last
    assert found.last.held == 256 * MIB
    assert found.last == next(p for p in found.points if p.held == 256 * MIB and not p.moving)


def test_nothing_is_read_off_samples_after_death() -> None:
    told = story("hold", KERNELS["unmap-hook"])
    found = ledger(told)
    death = next(t for t, mark in found.marks if mark == "oom kill in abuser")
    assert found.last
    assert found.points[-1].t < death
    assert found.last.held - found.last.charged <= found.last.moving


def test_charges_move_evenly_between_samples() -> None:
    """A point half-way between two samples is charged for half of what came between them, not for all or nothing."""
    found = ledger(story("hold", KERNELS["unmap-hook"]))
    steps = [b.charged - a.charged for a, b in zip(found.points[2:-2], found.points[3:-1], strict=True)]
    assert set(steps) == {8 * MIB}


def test_marks_tell_the_story_in_order() -> None:
    marks = ledger(story("copy-control")).marks
    assert [t for t, _ in marks] == sorted(t for t, _ in marks)
    assert {"ready", "accepted", "checkpoint baseline", "oom kill", "oom kill in abuser"} <= {m for _, m in marks}


def test_a_client_without_output_has_an_empty_ledger() -> None:
    told = story("hold")
    told.absent.add("clients/abuser.jsonl")
    found = ledger(told)
    assert (found.points, found.last, found.limit) == ((), None, 64 * MIB)


def test_what_a_client_said_last() -> None:
    log = parse(story("hold").files()).clients["abuser"]
    assert state_at(log, 0.0) is None
    last = state_at(log, 10**6)
    assert last
    assert last.event == "done"


def test_a_client_that_came_to_rest_between_two_samples_is_measured_at_one() -> None:
    """Between the sample before its stream and the one after, nothing is known; at rest everything is."""
    told = story("hold", KERNELS["put-hook"])
    told.checkpoints.remove(told.checkpoint("held"))
    first, rest = told.event("abuser", "accepted")["t"], told.event("abuser", "holding")["t"]
    told.machine.telemetry[:] = [s for s in told.machine.telemetry if not first < s["t"] < rest - 0.01]
    told.clients["abuser"] = [e for e in told.clients["abuser"] if e["event"] != "progress"]
    found = ledger(told)
    assert found.last
    assert found.last.t in [s["t"] for s in told.machine.telemetry]
    assert (found.last.moving, found.last.held) == (0, told.event("abuser", "holding")["held"])


def test_nobody_is_measured_when_it_is_done() -> None:
    told = story("bystander", KERNELS["stock"])
    done = told.event("abuser", "done")
    done.update({key: told.event("abuser", "holding")[key] for key in ("pinned", "distinct", "held")})
    assert done["t"] not in [p.t for p in ledger(told).points]
