# SPDX-License-Identifier: GPL-2.0-only
"""From kernels, NIC profiles and cases to runs in an order."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from lab.experiments.found import case_named
from lab.plan import matrix
from lab.plan.matrix import Run
from lab.plan.nics import NICS
from lab.verdict.case import Case
from tests.known import CASES, expand, run_of

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


def test_a_cell_sends_the_same_bytes_in_every_session_and_others_do_not() -> None:
    one, two = Run("s", "k", "stock", "virtio", "hold", 0), Run("t", "k", "stock", "virtio", "hold", 0)
    assert one.seed == two.seed
    assert one.id != two.id
    assert Run("s", "k", "stock", "virtio", "hold", 1).seed != one.seed


def test_runs_share_a_pair_when_kernel_nic_and_shape_agree() -> None:
    hold, release, bystander = map(run_of, ("hold", "release", "bystander"))
    assert hold.pair_key == release.pair_key != bystander.pair_key


def test_a_case_that_needs_no_link_has_one_run_whatever_nics_are_asked_for() -> None:
    alone, paired = case_named("net/msg_zerocopy.sh"), case_named("drivers/net/ping.py")
    runs = matrix.expand("s", [("k", "stock")], ["virtio", "e1000"], [alone, paired], 1)
    assert [(run.case, run.nic) for run in runs] == [
        (alone.name, "loopback"),
        (paired.name, "virtio"),
        (paired.name, "e1000"),
    ]
    assert not any("/" in run.id for run in runs)
    assert all(run.shape.bare for run in runs)


def test_a_case_judges_a_client_it_has() -> None:
    wrong = [c.name for c in CASES.values() if c.subject not in {client.name for client in c.clients}]
    assert not wrong
    assert all(isinstance(c, Case) and c.name == name for name, c in CASES.items())


def test_only_a_case_that_compares_has_a_reference_and_counts() -> None:
    kernels, references = [("k", "precharge"), ("j", "put-hook")], {"k": "ref", "j": "other"}
    runs = expand("s", kernels, ["virtio"], sorted(CASES), 1, references)
    assert {r.case for r in runs if r.reference} == {"cost"}
    assert {(r.kernel, r.reference) for r in runs if r.reference} == {*references.items()}
    assert all(bool(r.reference) == r.shape.counted == (r.shape.pairs == 2) for r in runs)
    assert {r.pair_key for r in runs if r.reference}.isdisjoint(r.pair_key for r in runs if not r.reference)


def test_streams_go_over_either_family_in_turn_and_which_is_no_chance() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], sorted(CASES), 4, {"k": "ref"})
    again = expand("another", [("l", "precharge")], ["e1000"], sorted(CASES), 4, {"l": "ref"})
    assert [run.family for run in runs] == [run.family for run in again]
    for case in CASES.values():
        families = [run.family for run in runs if run.case == case.name]
        assert families[0] == families[2]
        assert families[1] == families[3]
        assert (families[0] == families[1]) == (case.family is not None)
    first = [run.family for run in runs if run.repeat == 0]
    assert min(first.count("ipv4"), first.count("ipv6")) > len(first) // 4


def test_a_family_that_was_asked_for_is_had_by_all_but_cases_of_one() -> None:
    runs = matrix.expand("s", [("k", "stock")], ["virtio"], [CASES["hold"], CASES["ipv6"]], 2, family="ipv4")
    assert [(run.case, run.family) for run in runs] == [("hold", "ipv4")] * 2 + [("ipv6", "ipv6")] * 2
