# SPDX-License-Identifier: GPL-2.0-only
"""Where the time went: each moment once, drawn in a terminal and in a page."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from lab.evidence.timing import MOST_SPANS, Span, Timing
from lab.report import RunResult, html, text, waterfall
from lab.report.bars import bars, timing
from lab.report.plot import SVG
from lab.report.spent import BETWEEN, NOT_TOLD, OUTSIDE, own_seconds, spent
from tests.unit.report import builder

RUN = Timing(
    10.0,
    (
        Span("boot", "receiver", -3.0, 0.5),
        Span("pair", "case", 0.0, 1.0),
        Span("preflight", "pair", 0.5, 1.0),
        Span("start", "case", 1.0, 3.0, "abuser", work=True),
        Span("start client", "case", 1.5, 3.0, work=True),
        Span("checkpoint", "case", 3.0, 5.0, "held", work=True),
        Span("next sample", "case", 3.0, 3.5),
        Span("delivered", "reference", 6.0, 8.0, work=True),
        Span("drop", "pair", 6.0, 8.0),
        Span("judge", "case", 9.99, 10.0),
    ),
)
SPENT = {
    **{"boot": 0.5, "preflight": 0.5, "start": 0.5, "start client": 1.5, "checkpoint": 1.5, "next sample": 0.5},
    **{BETWEEN: 2.99, "delivered": 2.0, "judge": 0.01},
}


def shown(what: RenderableType, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, no_color=True).print(what)
    return out.getvalue().splitlines()


def run(told: Timing | None = RUN) -> RunResult:
    return replace(builder.result(), timing=told)


def test_each_moment_belongs_to_the_innermost_step_and_to_its_pair_only_while_it_waits_for_one() -> None:
    assert own_seconds(RUN) == pytest.approx(SPENT)


spans = st.builds(
    lambda name, lane, began, length: Span(name, lane, began, began + length),
    st.sampled_from(["pair", "boot", "delivered", "checkpoint", "judge"]),
    st.sampled_from(["case", "pair", "receiver", "reference"]),
    st.floats(-20, 20),
    st.floats(0, 20),
)


@given(st.floats(0, 15), st.lists(spans, max_size=12))
def test_all_of_a_runs_time_is_told_and_none_twice(seconds: float, told: list[Span]) -> None:
    own = own_seconds(Timing(seconds, tuple(told)))
    assert sum(own.values()) == pytest.approx(seconds)
    assert all(value >= 0 for value in own.values())


def test_overhead_is_all_worker_time_that_is_no_guest_work() -> None:
    session = replace(builder.session(run(), run()), seconds=12.5, pairs=2)
    told = spent(session)
    work = sum(SPENT[name] for name in ("start", "start client", "checkpoint", "delivered"))
    assert told.total == 25.0
    assert told.by_name[OUTSIDE] == pytest.approx(5.0)
    assert told.guest_work == pytest.approx(2 * work)
    assert told.overhead == pytest.approx(1 - 2 * work / 25)
    assert list(told.by_name.values()) == sorted([v for k, v in told.by_name.items()], reverse=True)


def test_a_step_that_nobody_calls_work_counts_as_overhead() -> None:
    told = Timing(4.0, (Span("a new step", "case", 0.0, 4.0),))
    assert spent(replace(builder.session(run(told)), seconds=4.0)).overhead == 1.0


def test_a_run_that_does_not_tell_is_no_guest_work_and_an_empty_session_no_division() -> None:
    told = spent(replace(builder.session(run(None)), seconds=8.0))
    assert (told.by_name[NOT_TOLD], told.overhead) == (8.0, 1.0)
    assert spent(replace(builder.session(), seconds=0.0)).overhead == 0.0


def test_rows_are_nested_and_the_shortest_are_counted() -> None:
    fall = waterfall.waterfall(RUN)
    assert (fall.began, fall.ended) == (-3.0, 10.0)
    assert [row.label for row in fall.left_out] == ["judge"]
    rows = {row.label: (row.kind, row.depth) for row in fall.rows}
    assert rows["boot receiver"] == ("pair", 0)
    assert rows["preflight"] == ("pair", 1)
    assert (rows["start abuser"], rows["start client"]) == (("work", 0), ("work", 1))
    assert (rows["next sample"], rows["delivered reference"]) == (("step", 1), ("work", 0))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_keep_their_order_and_their_place(width: int) -> None:
    lines = shown(bars(run()), width)
    assert all(len(line) <= width for line in lines)
    bar = {line[:30].strip(): line[40:] for line in lines if line[40:].strip(" ")}
    assert bar["boot receiver"].startswith("▒")
    assert bar["checkpoint held"].lstrip(" ")[0] == "█"
    starts = [len(line) - len(line.lstrip(" ")) for line in bar.values()]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert any(line.startswith("1 shorter") for line in lines)


def test_the_session_ends_with_the_sum() -> None:
    session = replace(builder.session(run(), run(None)), seconds=20.0, pairs=1)
    lines = shown(timing(session))
    assert lines[-1] == "1 worker x 20.0 s: 72.5% outside guest work"
    assert any("does not say where the time went" in line for line in lines)
    assert any(line.split()[:4] == ["delivered", "2.00", "10.0%", "guest"] for line in lines)


def test_show_draws_it_where_there_is_something_to_draw() -> None:
    assert "Where the time went" in shown(text.show(run()))
    assert "Where the time went" not in shown(text.show(run(None)))


def test_the_picture_has_a_bar_for_each_row_and_tells_it_in_words() -> None:
    root = ET.fromstring(waterfall.svg(RUN, "r1-", "<the> title"))  # noqa: S314 - our own text
    bars = [(rect.get("class"), float(str(rect.get("width")))) for rect in root.iter(f"{{{SVG}}}rect")]
    assert len(bars) == len(waterfall.waterfall(RUN).rows)
    assert {kind for kind, _ in bars} == set(waterfall.KINDS)
    assert (root.get("aria-labelledby"), root[0].text) == ("r1-title r1-desc", "<the> title")
    assert "The run took 10.0 s. Longest: boot receiver 3.50 s" in str(root[1].text)
    assert "-3.0 s" in [text.text for text in root.iter(f"{{{SVG}}}text")]


def test_the_page_draws_it_and_an_old_run_has_none() -> None:
    page = html.render(builder.session(run()))
    assert page.count('class="waterfall" viewBox') == 1
    assert 'class="waterfall" viewBox' not in html.render(builder.session(run(None)))


def innermost(told: list[Span], began: float, ended: float) -> Span | None:
    covering = [span for span in told if span.began <= began and ended <= span.ended]
    return max(covering, key=lambda span: (span.began, -span.ended)) if covering else None


halves = st.integers(-8, 8).map(lambda n: n / 2)
apart = st.builds(
    lambda name, lane, one, other: Span(name, lane, min(one, other), max(one, other)),
    st.sampled_from(["pair", "boot", "delivered"]),
    st.sampled_from(["case", "pair", "reference"]),
    halves,
    halves,
)


@given(st.integers(0, 8), st.lists(apart, max_size=12))
def test_a_moment_belongs_to_the_last_begun_and_depth_is_the_number_of_longer_steps_around(
    seconds: int, told: list[Span]
) -> None:
    steps = [span for span in told if span.lane in ("case", "reference")]
    others = [span for span in told if span.lane == "pair"]
    expected: dict[str, float] = {}
    for half in range(2 * seconds):
        began, ended = half / 2, (half + 1) / 2
        owner = innermost(steps, began, ended)
        if owner is not None and owner.name == "pair":
            owner = innermost(others, began, ended) or owner
        name = owner.name if owner else BETWEEN
        expected[name] = expected.get(name, 0.0) + 0.5
    assert own_seconds(Timing(float(seconds), tuple(told))) == expected
    fall = waterfall.waterfall(Timing(float(seconds), tuple(told)))
    depths = sorted(row.depth for row in (*fall.rows, *fall.left_out))
    assert depths == sorted(
        sum(s.began <= each.began and each.ended <= s.ended and s.seconds > each.seconds for s in steps)
        for each in told
    )


def test_as_many_spans_as_a_record_may_have_are_told_in_no_time() -> None:
    told = Timing(200.0, tuple(Span("step", "case", n / 100, n / 100 + 50) for n in range(MOST_SPANS)))
    began = time.monotonic()
    own_seconds(told)
    waterfall.waterfall(told)
    # A look at each of all spans for each of them would take minutes.
    assert time.monotonic() - began < 20
