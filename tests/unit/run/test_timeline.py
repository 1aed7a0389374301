# SPDX-License-Identifier: GPL-2.0-only
"""Spans: written from any thread, relative to a beginning, and read back as they were."""

from __future__ import annotations

import threading
import time

import pytest

from lab.evidence.timing import Span, Timing, dump_timing, parse_timing
from lab.pair.timeline import Timeline


def test_a_span_is_kept_however_its_block_ends() -> None:
    timeline = Timeline()
    with pytest.raises(KeyError), timeline.span("boot", lane="receiver", detail="cold"):
        raise KeyError
    (span,) = timeline.timing().spans
    assert (span.name, span.lane, span.detail) == ("boot", "receiver", "cold")
    assert 0 <= span.began <= span.ended <= timeline.timing().seconds


def test_times_are_relative_and_what_was_done_ahead_is_negative() -> None:
    timeline = Timeline(began=time.monotonic() - 10)
    timeline.add(Span("late", "case", timeline.began + 4, timeline.began + 5.5))
    timeline.add(Span("ahead", "pair", timeline.began - 3, timeline.began - 1))
    timing = timeline.timing()
    assert timing.spans == (Span("ahead", "pair", -3, -1), Span("late", "case", 4, 5.5))
    assert timing.seconds >= 10
    assert [span.seconds for span in timing.spans] == [2, 1.5]
    assert timing.lane("pair") == timing.spans[:1]


def test_a_run_takes_over_what_its_pair_has() -> None:
    run, pair = Timeline(began=100), Timeline(began=90)
    pair.add(Span("boot", "receiver", 91, 95))
    run.take(pair)
    run.take(run)
    assert [(s.began, s.ended) for s in run.timing().spans] == [(-9, -5)] * 2


def test_of_a_run_beside_it_takes_the_steps_alone() -> None:
    run, beside = Timeline(began=100), Timeline(began=110)
    beside.add(Span("boot", "receiver", 111, 112))
    beside.add(Span("delivered", "case", 113, 114))
    run.take(beside, case_as="reference")
    assert run.timing().spans == (Span("delivered", "reference", 13, 14),)


def test_the_outer_of_two_that_begin_together_comes_first() -> None:
    timeline = Timeline(began=0)
    timeline.add(Span("inner", "case", 1, 2))
    timeline.add(Span("outer", "case", 1, 3))
    assert [s.name for s in timeline.timing().spans] == ["outer", "inner"]


def test_threads_lose_nothing() -> None:
    timeline = Timeline()

    def write() -> None:
        for _ in range(200):
            with timeline.span("x", lane="pair"):
                pass

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(timeline.timing().spans) == 1600


def test_what_is_written_is_read_back() -> None:
    timing = Timing(4.25, (Span("boot", "receiver", -2.5, 1.0, "cold"), Span("judge", "case", 4.0, 4.25)))
    assert parse_timing(dump_timing(timing)) == timing


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"seconds":1.0}',
        b'{"seconds":NaN,"spans":[]}',
        b'{"seconds":-1.0,"spans":[]}',
        b'{"seconds":1.0,"spans":[],"more":0}',
        b'{"seconds":1.0,"spans":[{"name":"x","lane":"case","began":2.0,"ended":1.0}]}',
        b'{"seconds":1.0,"spans":[{"name":"x","lane":"case","began":"0","ended":1.0}]}',
        b'{"seconds":1.0,"spans":[{"name":"x","lane":"case","began":0.0,"ended":1.0,"extra":1}]}',
    ],
)
def test_what_is_not_what_it_should_be_is_no_timing(data: bytes) -> None:
    assert parse_timing(data) is None
