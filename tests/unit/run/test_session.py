"""From what the user asked for to one spec; every wrong name at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import session
from lab.errors import BadInput
from lab.kernels.catalogue import LocalKernel
from lab.plan.matrix import expand
from lab.session import SessionRequest, check, combine, read_suite, worker_count


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


def own(name: str, design: str) -> LocalKernel:
    return LocalKernel(name, Path(f"/{name}"), None, name, design)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"plain": own("plain", "stock"), "old": own("old", "stock"), "mine": own("mine", "precharge")}
    monkeypatch.setattr(session, "resolve", lambda names: tuple(dict.fromkeys(there[name] for name in names)))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("asked", "named", "reference", "made"),
    [
        (("mine", "plain", "old"), "", "plain", ["mine", "plain", "old"]),
        (("mine",), "old", "old", ["mine", "old"]),
        (("plain",), "plain", "plain", ["plain"]),
        (("plain", "mine"), "mine", "mine", ["plain", "mine"]),
    ],
)
def test_what_is_compared_with_is_made_but_not_tested(
    asked: tuple[str, ...], named: str, reference: str, made: list[str]
) -> None:
    found = check(SessionRequest(names=("cost",), kernels=asked, reference=named))
    assert found.references == dict.fromkeys(asked, reference)
    assert [k.name for k in found.kernels] == made
    assert tuple(k.name for k in found.tested) == asked


@pytest.mark.usefixtures("kernels")
def test_nothing_to_compare_with_is_refused_where_a_case_compares() -> None:
    with pytest.raises(BadInput, match="kernel mine: nobody knows what it was built from") as caught:
        check(SessionRequest(names=("cost", "hold"), kernels=("mine",)))
    assert "--reference" in caught.value.hint
    assert check(SessionRequest(names=("hold",), kernels=("mine",))).references == {}
