"""From kernels, NIC profiles and cases to runs in an order."""

from __future__ import annotations

from itertools import groupby, product

from hypothesis import given
from hypothesis import strategies as st

from lab.plan.cases import CASES, Case
from lab.plan.matrix import Run, expand, running_order
from lab.plan.nics import NICS

CELLS = st.tuples(
    st.lists(st.sampled_from(["6.1", "6.12"]), min_size=1, unique=True),
    st.lists(st.sampled_from(sorted(NICS)), min_size=1, unique=True),
    st.lists(st.sampled_from(sorted(CASES)), min_size=1, unique=True),
    st.integers(1, 3),
)
Cells = tuple[list[str], list[str], list[str], int]


def runs_of(cells: Cells) -> tuple[Run, ...]:
    kernels, nics, cases, repeat = cells
    return expand("s", [(k, "stock") for k in kernels], nics, cases, repeat, dict.fromkeys(kernels, "ref"))


@given(CELLS)
def test_every_cell_is_there_once(cells: Cells) -> None:
    kernels, nics, cases, repeat = cells
    runs = runs_of(cells)
    assert [(r.kernel, r.nic, r.case, r.repeat) for r in runs] == list(product(kernels, nics, cases, range(repeat)))
    assert len({r.id for r in runs}) == len(runs)
    assert len({(r.case, r.label) for r in runs}) == len(runs)


@given(CELLS)
def test_the_order_keeps_every_run_and_the_runs_of_a_pair_together(cells: Cells) -> None:
    runs = runs_of(cells)
    ordered = running_order(runs)
    assert sorted(r.id for r in ordered) == sorted(r.id for r in runs)
    keys = [key for key, _ in groupby(r.pair_key for r in ordered)]
    assert len(keys) == len(set(keys))


@given(CELLS)
def test_the_order_does_not_depend_on_the_session(cells: Cells) -> None:
    kernels, nics, cases, repeat = cells
    other = expand("other", [(k, "stock") for k in kernels], nics, cases, repeat, dict.fromkeys(kernels, "ref"))
    assert [(r.label, r.case) for r in running_order(runs_of(cells))] == [
        (r.label, r.case) for r in running_order(other)
    ]


def test_the_group_that_takes_longest_comes_first() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], ["copy-control", "bystander"], 1)
    assert [r.case for r in running_order(runs)] == ["bystander", "copy-control"]
    more = expand("s", [("k", "stock")], ["virtio"], ["hold", "release", "bystander"], 2)
    assert [r.case for r in running_order(more)] == ["bystander"] * 2 + ["hold"] * 2 + ["release"] * 2


def test_what_was_measured_wins_over_the_table() -> None:
    runs = expand("s", [("k", "stock")], ["virtio", "e1000"], ["hold", "release", "bystander"], 1)
    measured = {("hold", "e1000"): 50.0, ("bystander", "virtio"): 49.0}
    ordered = running_order(runs, lambda run: measured.get((run.case, run.nic), 1.0))
    assert [(r.case, r.nic) for r in ordered] == [
        *(("hold", "e1000"), ("release", "e1000")),
        ("bystander", "virtio"),
        *(("hold", "virtio"), ("release", "virtio")),
        ("bystander", "e1000"),
    ]


@given(CELLS, st.integers())
def test_no_group_is_followed_by_a_longer_one(cells: Cells, salt: int) -> None:
    def seconds(run: Run) -> float:
        return float(hash((salt, run.case, run.nic, run.repeat)) % 100)

    groups = groupby(running_order(runs_of(cells), seconds), key=lambda run: run.pair_key)
    totals = [sum(map(seconds, group)) for _, group in groups]
    assert totals == sorted(totals, reverse=True)


def test_a_cell_sends_the_same_bytes_in_every_session_and_others_do_not() -> None:
    one, two = Run("s", "k", "stock", "virtio", "hold", 0), Run("t", "k", "stock", "virtio", "hold", 0)
    assert one.seed == two.seed
    assert one.id != two.id
    assert Run("s", "k", "stock", "virtio", "hold", 1).seed != one.seed


def test_runs_share_a_pair_when_kernel_nic_and_shape_agree() -> None:
    hold, release, bystander = (Run("s", "k", "stock", "virtio", c, 0) for c in ("hold", "release", "bystander"))
    assert hold.pair_key == release.pair_key != bystander.pair_key


def test_a_case_judges_a_client_it_has() -> None:
    wrong = [c.name for c in CASES.values() if c.subject not in {client.name for client in c.clients}]
    assert not wrong
    assert all(isinstance(c, Case) and c.name == name for name, c in CASES.items())


def test_only_a_case_that_compares_has_a_reference_and_counts() -> None:
    kernels, references = [("k", "precharge"), ("j", "put-hook")], {"k": "ref", "j": "other"}
    runs = expand("s", kernels, ["virtio"], sorted(CASES), 1, references)
    assert {r.case for r in runs if r.reference} == {"cost"}
    assert {(r.kernel, r.reference) for r in runs if r.reference} == {*references.items()}
    assert all(bool(r.reference) == r.spec.shape.counted == (r.spec.shape.pairs == 2) for r in runs)
    assert {r.pair_key for r in runs if r.reference}.isdisjoint(r.pair_key for r in runs if not r.reference)
