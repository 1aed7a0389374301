# SPDX-License-Identifier: GPL-2.0-only
"""Batches that share a pair, the longest first, and cut where that ends sooner."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.plan.matrix import Run
from lab.plan.order import PAIR_SECONDS, as_said, cost, makespan, next_batch, running_order
from tests.known import expand
from tests.unit.plan.test_matrix import CELLS, Cells, runs_of


def runs(*cases: str, nics: tuple[str, ...] = ("virtio",), repeat: int = 1) -> tuple[Run, ...]:
    return expand("s", [("k", "stock")], nics, cases, repeat)


def batches(ordered: tuple[Run, ...]) -> list[tuple[Run, ...]]:
    return [tuple(batch) for _, batch in groupby(ordered, key=lambda run: run.batch)]


@given(CELLS, st.integers(1, 5), st.integers(0, 99))
def test_every_run_is_there_once_and_a_batch_is_one_pairs(cells: Cells, pairs: int, salt: int) -> None:
    asked = runs_of(cells)
    ordered = running_order(asked, pairs, lambda run: float(hash((salt, run.id)) % 100))
    assert sorted(run.id for run in ordered) == sorted(run.id for run in asked)
    assert all(run.seconds == hash((salt, run.id)) % 100 for run in ordered)
    told = batches(ordered)
    assert [batch[0].batch for batch in told] == list(range(len(told)))
    assert all(len({run.pair_key for run in batch}) == 1 for batch in told)


@given(CELLS, st.integers(1, 5), st.integers(0, 99))
def test_no_batch_is_followed_by_a_longer_one_and_none_is_cut_in_vain(cells: Cells, pairs: int, salt: int) -> None:
    def seconds(run: Run) -> float:
        return float(hash((salt, run.case, run.nic, run.repeat)) % 100)

    def length(batch: tuple[Run, ...]) -> float:
        return PAIR_SECONDS + sum(map(seconds, batch))

    asked = runs_of(cells)
    told = batches(running_order(asked, pairs, seconds))
    assert [length(batch) for batch in told] == sorted(map(length, told), reverse=True)
    whole = [tuple(r for r in asked if r.pair_key == key) for key in dict.fromkeys(r.pair_key for r in asked)]
    assert len(told) == len(whole) or cost(told, pairs, length) < cost(whole, pairs, length)


@given(CELLS)
def test_the_order_does_not_depend_on_the_session(cells: Cells) -> None:
    kernels, nics, cases, repeat = cells
    other = expand("other", [(k, "stock") for k in kernels], nics, cases, repeat, dict.fromkeys(kernels, "ref"))
    assert [(r.label, r.case, r.batch) for r in running_order(runs_of(cells))] == [
        (r.label, r.case, r.batch) for r in running_order(other)
    ]


@given(CELLS)
def test_one_worker_needs_no_pair_twice(cells: Cells) -> None:
    asked = runs_of(cells)
    assert len(batches(running_order(asked, 1))) == len({run.pair_key for run in asked})


def test_the_group_that_takes_longest_comes_first() -> None:
    assert [r.case for r in running_order(runs("copy-control", "bystander"))] == ["bystander", "copy-control"]
    more = running_order(runs("hold", "release", "bystander", repeat=2))
    assert [r.case for r in more] == ["bystander"] * 2 + ["hold"] * 2 + ["release"] * 2


def test_what_was_measured_wins_over_the_table() -> None:
    measured = {("hold", "e1000"): 50.0, ("bystander", "virtio"): 49.0}
    asked = runs("hold", "release", "bystander", nics=("virtio", "e1000"))
    ordered = running_order(asked, 1, lambda run: measured.get((run.case, run.nic), 1.0))
    assert [(r.case, r.nic) for r in ordered] == [
        *(("hold", "e1000"), ("release", "e1000")),
        ("bystander", "virtio"),
        *(("hold", "virtio"), ("release", "virtio")),
        ("bystander", "e1000"),
    ]


@pytest.mark.parametrize(
    ("repeat", "pairs", "pair_seconds", "sizes"),
    [
        (8, 1, 1.0, [8]),
        (8, 2, 1.0, [4, 4]),
        (8, 4, 1.0, [2, 2, 2, 2]),
        (8, 2, 100.0, [8]),  # to make a pair takes longer than all that is to be gained
        (1, 4, 1.0, [1]),
    ],
)
def test_a_batch_is_cut_for_workers_that_had_nothing_to_do(
    repeat: int, pairs: int, pair_seconds: float, sizes: list[int]
) -> None:
    ordered = running_order(runs("hold", repeat=repeat), pairs, as_said, lambda _: pair_seconds)
    assert [len(batch) for batch in batches(ordered)] == sizes
    assert [run.repeat for run in ordered] == list(range(repeat))


def test_a_batch_is_cut_where_the_rest_of_it_fills_a_worker_up() -> None:
    asked = runs("hold", nics=("e1000", "virtio"), repeat=6)
    seconds = {"e1000": 10.0, "virtio": 6.0}
    told = batches(running_order(asked, 2, lambda run: seconds[run.nic], lambda _: 1.0))
    # whole 61 and 37 seconds, cut in halves no better; so 51, and 37 with 11 after it
    assert [(batch[0].nic, len(batch)) for batch in told] == [("e1000", 5), ("virtio", 6), ("e1000", 1)]


def test_workers_take_the_longest_left_as_they_become_free() -> None:
    lengths = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 3.0}

    def length(batch: tuple[Run, ...]) -> float:
        return lengths[batch[0].kernel]

    told = [(Run("s", name, "stock", "virtio", "hold", 0),) for name in lengths]
    assert makespan(told, 2, length) == 8.0
    assert makespan(told, 1, length) == 15.0
    assert makespan([], 3, length) == 0.0


@pytest.mark.parametrize(
    ("mine", "others", "waiting", "place"),
    [
        (0, [], [5], 0),
        (13, [8], [12], None),  # 20 until all is done, not 25
        (13, [8], [12, 3], 1),  # the other gets the long one, and is not free again before we are
        (8, [13], [12], 0),
        (8, [8], [12], 0),
        (30, [8, 9], [5, 5, 5], None),
        (30, [8, 9], [15, 40, 5], None),
        (20, [8, 9], [15, 40, 5], 2),
        (0, [1], [], None),
    ],
)
def test_a_batch_is_for_who_is_free_first(mine: float, others: list[float], waiting: list[float], place: int) -> None:
    assert next_batch(mine, others, waiting) == place
