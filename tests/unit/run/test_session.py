"""From what the user asked for to one spec; every wrong name at once."""

from __future__ import annotations

import pytest

from lab.errors import BadInput
from lab.plan.matrix import expand
from lab.session import SessionRequest, combine, read_suite, worker_count


def test_nothing_asked_for_means_the_default_suite() -> None:
    assert combine(SessionRequest()) == read_suite("default")


def test_cases_alone_take_kernels_and_nics_of_the_default() -> None:
    spec, default = combine(SessionRequest(names=("release", "hold"))), read_suite("default")
    assert spec.cases == ("release", "hold")
    assert (spec.nics, spec.kernels) == (default.nics, default.kernels)


def test_a_suite_and_a_case_add_up_once_each() -> None:
    fast = read_suite("fast")
    spec = combine(SessionRequest(names=("fast", "hold", "dead-memcg")))
    assert spec.cases == (*fast.cases, "dead-memcg")
    assert spec.nics == fast.nics


def test_a_suite_may_be_named_as_one() -> None:
    assert combine(SessionRequest(suites=("thread",))) == combine(SessionRequest(names=("thread",)))
    assert combine(SessionRequest(names=("fast",), suites=("fast",))) == read_suite("fast")
    with pytest.raises(BadInput, match="unknown suite 'hold'"):
        combine(SessionRequest(suites=("hold",)))


def test_options_win_over_the_suite() -> None:
    spec = combine(SessionRequest(names=("fast",), kernels=("6.1",), nics=("virtio",), repeat=3))
    assert (spec.kernels, spec.nics, spec.repeat) == (("6.1",), ("virtio",), 3)


def test_every_wrong_word_is_told_at_once() -> None:
    request = SessionRequest(
        names=("holt", "nosuch"), nics=("virtoi", "e1000"), repeat=-1, pairs=-1, accelerator="warp"
    )
    with pytest.raises(BadInput) as caught:
        combine(request)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for word in (
        "'holt'; did you mean hold",
        "'nosuch'",
        "'virtoi'; did you mean virtio",
        "-n ",
        "--repeat ",
        "'warp'",
    ):
        assert word in text
    assert "lab nics" in caught.value.hint


def test_there_are_no_more_workers_than_different_pairs() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], ["hold", "release"], 2)
    assert worker_count(SessionRequest(), runs) == 1


def test_too_many_pairs_are_refused_with_the_sum() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], ["hold"], 1)
    with pytest.raises(BadInput, match=r"100000 pairs do not fit: a standard pair takes .* MiB available"):
        worker_count(SessionRequest(pairs=100_000), runs)
