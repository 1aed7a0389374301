# SPDX-License-Identifier: GPL-2.0-only
"""Telemetry, checkpoints, program output: good lines become records, bad ones are refused and told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.model import PagePool
from lab.evidence.programs import counting, parse_program
from lab.evidence.telemetry import longest_gap, lost, parse_checkpoints, parse_telemetry
from lab.plan.case import Counter

MEMINFO = {"MemTotal": 100, "MemFree": 50, "Buffers": 0, "Cached": 10, "AnonPages": 5, "Slab": 5}
GROUP = {"ino": 7, "current": 4096, "peak": 8192, "max": -1, "procs": 1, "events": {"oom_kill": 0}, "stat": {"sock": 0}}
SAMPLE: dict[str, Any] = {
    "t": 1.5,
    "seq": 3,
    "meminfo": MEMINFO,
    "vmstat": {"oom_kill": 0},
    "pcp_pages": 2,
    "net": {"tcp_mem_pages": 0},
    "dying": 0,
    "cg": {"abuser": GROUP},
}
PAGES = {"plain": 1, "free": 2, "mapped_uncharged": 3, "offline": 5, "charged": {"7": 4}}
CHECKPOINT = {**SAMPLE, "event": "checkpoint", "name": "held", "pages": PAGES}
POOLS = {"7": {"netdev": "lab0", "counts": {"inflight": 300, "recycle_released_refcnt": 0}}, "8": {"counts": {}}}
PROGRESS = {"t": 2, "event": "progress", "delivered": 10, "held": 4, "cgroup": None}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_a_sample() -> None:
    stream = parse_telemetry(lines(SAMPLE))
    (sample,) = stream.samples
    assert (sample.t, sample.seq, sample.line, sample.name, sample.pages) == (1.5, 3, 1, "", None)
    assert (sample.cgroups["abuser"].max, sample.cgroups["abuser"].peak) == (None, 8192)
    assert not stream.truncated


def test_a_checkpoint() -> None:
    (sample,) = parse_checkpoints(lines(CHECKPOINT)).samples
    assert sample.name == "held"
    assert sample.pages
    assert sample.pages.charged == {7: 4}
    assert sample.pages.offline == 5


def test_a_checkpoint_from_before_pages_of_removed_cgroups_were_counted() -> None:
    old = {key: value for key, value in PAGES.items() if key != "offline"}
    (sample,) = parse_checkpoints(lines({**CHECKPOINT, "pages": old})).samples
    assert sample.pages
    assert sample.pages.offline is None


def test_page_pools_of_a_checkpoint() -> None:
    (sample,) = parse_checkpoints(lines({**CHECKPOINT, "pools": POOLS, "pools_left_out": 2})).samples
    assert sample.pools == {
        7: PagePool("lab0", {"inflight": 300, "recycle_released_refcnt": 0}),
        8: PagePool("", {}),
    }
    assert sample.pools_left_out == 2


def test_a_kernel_that_tells_of_no_pools_is_not_one_that_has_none() -> None:
    for row, pools in ((CHECKPOINT, None), ({**CHECKPOINT, "pools": {}}, {})):
        (sample,) = parse_checkpoints(lines(row)).samples
        assert sample.pools == pools


@pytest.mark.parametrize(
    "pools",
    [
        [],
        {"lab0": {"counts": {}}},
        {"7": {}},
        {"7": {"counts": {"inflight": -1}}},
        {"7": {"counts": {"inflight": "300"}}},
        {"7": {"counts": {"inflight": 1 << 64}}},
        {"7": {"netdev": "x" * 16, "counts": {}}},
        {str(number): {"counts": {}} for number in range(513)},
        {"7": {"counts": {str(number): 0 for number in range(513)}}},
    ],
)
def test_pools_that_no_kernel_tells_of_are_refused(pools: object) -> None:
    stream = parse_checkpoints(lines({**CHECKPOINT, "pools": pools}))
    assert (stream.samples, stream.truncated) == ((), True)


@pytest.mark.parametrize(
    "change",
    [
        {"t": float("nan")},
        {"t": -1},
        {"t": "1"},
        {"seq": 1.5},
        {"seq": True},
        {"meminfo": {"MemTotal": 1}},
        {"meminfo": {**MEMINFO, "MemFree": -1}},
        {"meminfo": {**MEMINFO, "MemFree": "50"}},
        {"cg": {"abuser": {**GROUP, "current": None}}},
        {"cg": {"abuser": {**GROUP, "current": -4096}}},
        {"dying": None},
        {"vmstat": []},
    ],
)
def test_a_bad_sample_is_refused(change: dict[str, object]) -> None:
    stream = parse_telemetry(lines(SAMPLE, {**SAMPLE, "t": 2, "seq": 4, **change}))
    assert stream.truncated
    assert len(stream.samples) == 1


@pytest.mark.parametrize("change", [{"pages": {**PAGES, "charged": {"x": 1}}}, {"name": ""}, {"event": "other"}])
def test_a_bad_checkpoint_is_refused(change: dict[str, object]) -> None:
    assert parse_checkpoints(lines({**CHECKPOINT, **change})).truncated


def test_the_unfinished_end_of_telemetry_is_no_loss_but_of_checkpoints_it_is() -> None:
    assert not parse_telemetry(lines(SAMPLE) + b'{"t":1.6,').truncated
    assert parse_checkpoints(lines(CHECKPOINT) + b'{"t":1.6,').truncated


def test_a_checkpoint_taken_twice_is_refused() -> None:
    assert parse_checkpoints(lines(CHECKPOINT, CHECKPOINT)).truncated


def test_time_and_numbers_that_run_backwards_are_told() -> None:
    assert parse_telemetry(lines(SAMPLE, {**SAMPLE, "t": 1.4, "seq": 4})).truncated
    assert parse_telemetry(lines(SAMPLE, {**SAMPLE, "t": 1.6, "seq": 3})).truncated


def test_gaps_and_lost_lines() -> None:
    stream = parse_telemetry(lines(SAMPLE, {**SAMPLE, "t": 1.6, "seq": 4}, {**SAMPLE, "t": 4.0, "seq": 9}))
    assert lost(stream.samples) == 4
    assert longest_gap([s.t for s in stream.samples]) == pytest.approx(2.4)
    assert longest_gap([]) == 0.0


def test_program_lines() -> None:
    log = parse_program("abuser", "clients/abuser.jsonl", lines(PROGRESS))
    (event,) = log.events
    assert (event.t, event.event, event.count("held"), event.count("nosuch")) == (2.0, "progress", 4, 0)
    assert "cgroup" not in event.fields
    assert log.last("done") is None
    assert log.last() == event
    assert not log.truncated


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"t":1}',
        b'{"event":"done"}',
        b'{"t":1,"event":3}',
        b'{"t":true,"event":"x"}',
        b'{"t":-1,"event":"x"}',
        b'{"t":NaN,"event":"x"}',
        b'{"t":1,"event":"x","more":{}}',
        b'{"t":1,"event":"x"',
        b"\xff\xfe",
    ],
)
def test_a_bad_program_line_is_refused(line: bytes) -> None:
    log = parse_program("a", "p", lines(PROGRESS) + line + b"\n")
    assert log.truncated == bool(line)
    assert len(log.events) == 1


@pytest.mark.parametrize("held", [-1, 1.5, "9", 2**64])
def test_a_line_whose_counter_is_no_count_is_refused(held: object) -> None:
    """Which numbers are counts is for the case to say: an offset may be -1 where there is none."""
    log = parse_program("a", "p", lines(PROGRESS, {"t": 3, "event": "x", "held": held}))
    assert (len(log.events), log.truncated) == (2, False)
    refused = counting(log, frozenset({Counter("held")}))
    assert (len(refused.events), refused.truncated) == (1, True)
    assert counting(log, frozenset({Counter("delivered")})) is log


@given(st.binary(max_size=300))
def test_any_bytes_give_a_record(data: bytes) -> None:
    assert not parse_telemetry(data).samples
    assert not parse_checkpoints(data).samples
    assert not parse_program("a", "p", data).events


@given(st.integers(0, 10**4))
def test_every_cut_of_a_program_log_is_told_or_whole(at: int) -> None:
    whole = lines(PROGRESS, {**PROGRESS, "t": 3}, {**PROGRESS, "t": 4})
    cut = whole[: at % len(whole)]
    assert parse_program("a", "p", cut).truncated == (not cut.endswith(b"\n") and cut != b"")
