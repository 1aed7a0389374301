# SPDX-License-Identifier: GPL-2.0-only
"""What became of a cell: each word on its red side, from rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lab.archive.compare import NEWS, Change, Kind, Tally, compare, outcome
from lab.archive.rows import RunRow
from lab.stats.flaky import times_likelier
from lab.units import MIB

WORDS = {"P": "PASS", "F": "FAIL", "M": "MISS", "S": "SKIP", "E": "ERROR", "D": "DONE"}


def row(word: str, day: int, **given: Any) -> RunRow:  # noqa: ANN401 - any column
    blank: dict[str, Any] = {name: "" for name in RunRow.__annotations__}
    blank |= dict.fromkeys(("escaped", "cost", "held"), None) | {"fault": 0, "surprise": 0}
    blank |= {"case_name": "hold", "nic": "virtio", "cell": "hold/virtio/stock/6.12", "kernel": f"k{day}"}
    started = f"2026-01-01T{day // 60:02}:{day % 60:02}:00+00:00"
    return RunRow(**{**blank, "key": f"{day}{given.get('cell', '')}", "word": WORDS[word], "started": started, **given})


def history(words: str, begin: int = 0, **given: Any) -> list[RunRow]:  # noqa: ANN401 - any column
    return [row(word, begin + at, **given) for at, word in enumerate(words)]


def became(past: str, new: str, before: str | None = None, **given: Any) -> Change:  # noqa: ANN401 - any column
    """Of a cell with that past, the end of which is side A, and those new runs on one kernel."""
    old = history(past)
    side = old[len(past) - len(before if before is not None else past[-1:]) :]
    after = history(new, len(past), kernel="new", **given)
    (change,) = compare(side, after, lambda *_: [*old, *after])
    return change


@pytest.mark.parametrize(
    ("past", "new", "kind"),
    [
        ("P" * 20, "P", Kind.SAME),
        ("P" * 20, "F", Kind.NEW_FAIL),
        ("P" * 20, "FFF", Kind.NEW_FAIL),
        ("P" * 20, "FPF", Kind.NEW_FAIL),  # to fail now and then is worse than never
        ("F" * 20, "P", Kind.FIXED),
        ("F" * 20, "F", Kind.STILL),
        ("F" * 20, "FPFF", Kind.STILL),  # nobody has mended it
        ("PFPPPFPPFPPPPFPPPP", "F", Kind.FLAKY),
        ("PFPPPFPPFPPPPFPPPP", "P", Kind.SAME),
        ("PFPPPPPPFPPPPFPPPP", "FFFFF", Kind.NEW_FAIL),  # it was flaky, and is broken now
        ("P" * 20, "M", Kind.NO_VERDICT),
        ("P" * 20, "E", Kind.NO_VERDICT),
        ("F" * 20, "MM", Kind.NO_VERDICT),
        ("P" * 20, "MP", Kind.SAME),
        ("P" * 20, "MF", Kind.NEW_FAIL),
        ("M" * 20, "M", Kind.SAME),
        ("E" * 20, "E", Kind.SAME),
        ("S" * 20, "P", Kind.NEW),
        ("P" * 19 + "M", "F", Kind.NEW_FAIL),  # the lab's trouble in between changes nothing
        ("P" * 19 + "M", "P", Kind.SAME),
        ("D" * 20, "D", Kind.SAME),
    ],
)
def test_words(past: str, new: str, kind: Kind) -> None:
    assert became(past, new).kind is kind


def test_trouble_of_the_lab_is_never_a_pass_nor_a_fail() -> None:
    tally = became("P" * 20, "MES").after
    assert (tally.failed, tally.runs, tally.silent) == (0, 0, 3)
    assert str(tally) == ":0 (+3 without a verdict)"
    assert str(Tally(35, 200, 0)) == "35:200"
    assert str(Tally(0, 200, 0)) == ":200"


def test_a_new_fail_says_how_sure_it_is_and_what_would_make_it_sure() -> None:
    unsure, sure = became("P" * 15, "F"), became("P" * 15, "FF")
    assert unsure.likely == pytest.approx(0.5 / 16)
    assert unsure.needed == 1
    assert (sure.needed, sure.kind) == (0, Kind.NEW_FAIL)
    assert became("P" * 60, "F").needed == 0
    assert became("P" * 2, "F").needed > 1
    old = became("F" * 20 + "P" * 15, "F")  # what was before the fix is another story
    assert old.likely == pytest.approx(0.5 / 16)


def test_a_cell_that_became_flaky_is_news_once() -> None:
    fresh, old = became("PPPPPPPPPPPPFPPPPPP", "FP"), became("PFPPPFPPFPPPPFPPPP", "F")
    assert (fresh.kind, old.kind) == (Kind.FLAKY, Kind.FLAKY)
    assert (fresh.is_news, old.is_news) == (True, False)


def test_another_lab_may_say_otherwise_of_the_same_kernel() -> None:
    def told(labs: str) -> float:
        runs = [row(word, at, kernel="k", lab_version=labs[at]) for at, word in enumerate("PPPPFPPPPF")]
        return times_likelier([outcome(run) for run in runs])

    assert told("aaaaaaaaaa") > 4 * told("abcdefghij")


def test_a_kernel_that_faults_where_the_case_always_failed_is_news() -> None:
    assert became("F" * 20, "F").kind is Kind.STILL
    found = became("F" * 20, "F", fault=1, why="BUG: oops")
    assert found.kind is Kind.NEW_FAIL
    assert found.witness is not None
    assert found.witness.why == "BUG: oops"


def numbers(then: Sequence[float], now: Sequence[float], column: str = "escaped", **given: Any) -> Change:  # noqa: ANN401
    def value(number: float) -> dict[str, Any]:
        return {column: int(number * MIB) if column == "escaped" else number}

    old = [row("F", at, **value(number)) for at, number in enumerate(then)]
    new = [row("F", len(then) + at, kernel="new", **value(number)) for at, number in enumerate(now)]
    (change,) = compare(old[-1:], new, lambda *_: [*old, *new], **given)
    return change


NOISE = (0.0, 0.4, -0.6, 0.9, -0.2, 0.1, -0.9, 0.5, -0.4, 0.2)


def test_an_escape_that_left_its_interval_has_moved() -> None:
    then = [250 + noise for noise in NOISE]
    assert numbers(then, [251.2]).kind is Kind.STILL
    found = numbers(then, [262.0])
    assert found.kind is Kind.MOVED
    assert found.number is not None
    name, number = found.number
    assert name == "escape"
    assert number.low < 250 * MIB < number.high < 262 * MIB
    assert numbers(then, [200.0]).kind is Kind.MOVED
    assert numbers([250.0] * 10, [250.9]).kind is Kind.STILL  # less than a MiB is nothing
    assert numbers(then[:5], [262.0]).kind is Kind.STILL  # five runs say nothing of a spread


def test_an_escape_that_means_nothing_there_does_not_move() -> None:
    then = [250 + noise for noise in NOISE]
    assert numbers(then, [262.0], escapes=lambda case: case != "hold").kind is Kind.STILL


def test_a_cost_that_left_its_interval_has_moved() -> None:
    then = [1.0 + noise / 1000 for noise in NOISE]
    assert numbers(then, [1.002], "cost").kind is Kind.STILL
    assert numbers(then, [1.02], "cost").kind is Kind.MOVED


def test_cells_that_came_and_went() -> None:
    old, new = history("P", cell="hold/virtio/stock/6.12"), history("F", 5, cell="hold/virtio/put-hook/6.12")
    more = history("PP", 6, cell="hold/virtio/stock/7.3")
    found = compare([*old, more[0]], [*new, more[1]], lambda *_: [])
    assert [(change.cell, change.kind) for change in found] == [
        ("hold/virtio/stock/6.12", Kind.GONE),
        ("hold/virtio/put-hook/6.12", Kind.NEW),
        ("hold/virtio/stock/7.3", Kind.SAME),
    ]


def test_two_kernels_are_compared_though_their_lines_differ() -> None:
    old, new = history("PPP", cell="hold/virtio/stock/6.12"), history("F", 5, cell="hold/virtio/stock/7.3")
    (found,) = compare(old, new, lambda cell, _: old if cell == old[0].cell else new)
    assert (found.cell, found.kind) == ("hold/virtio", Kind.NEW_FAIL)
    assert found.before == Tally(0, 3, 0)


def test_the_worst_comes_first_and_the_same_is_no_news() -> None:
    cells = {"a": ("P", "P"), "b": ("F", "P"), "c": ("P", "F"), "d": ("P", "M")}
    old = [run for cell, (was, _) in cells.items() for run in history(was * 9, cell=cell)]
    new = [run for cell, (_, now) in cells.items() for run in history(now, 20, cell=cell)]
    found = compare(old, new, lambda cell, _: [run for run in old if run.cell == cell])
    assert [(change.cell, change.kind) for change in found] == [
        ("c", Kind.NEW_FAIL),
        ("d", Kind.NO_VERDICT),
        ("b", Kind.FIXED),
        ("a", Kind.SAME),
    ]
    assert Kind.SAME not in NEWS
    assert Kind.FIXED not in NEWS


def test_the_past_ends_where_the_new_runs_begin() -> None:
    """What was run later than side B is nobody's history of it."""
    old, new, later = history("P" * 20), history("F", 20), history("F" * 30, 21)
    (change,) = compare(old[-1:], new, lambda *_: [*old, *new, *later])
    assert change.likely == pytest.approx(0.5 / 21)
    assert replace(change, witness=None).kind is Kind.NEW_FAIL
