# SPDX-License-Identifier: GPL-2.0-only
"""Suite files: what is wrong is listed at once, with file and key."""

from __future__ import annotations

import pytest

from lab.errors import BadInput
from lab.plan.nics import NICS
from lab.session.suites import read_suite, suite_names
from lab.spec.suite import SuiteSpec, load_suite, unknown
from tests.known import CASES

GOOD = """
description = "d"
kernels = ["newest"]
nics = ["virtio"]
cases = ["hold"]
"""


def test_a_suite_reads_as_written() -> None:
    assert load_suite(GOOD, "s.toml") == SuiteSpec(
        description="d", kernels=("newest",), nics=("virtio",), cases=("hold",), repeat=1
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (GOOD.replace('description = "d"', ""), "description"),
        (GOOD.replace('["newest"]', "[]"), "kernels"),
        (GOOD.replace('["virtio"]', '"virtio"'), "nics"),
        (GOOD.replace('["hold"]', '["hold", 1]'), "cases.1"),
        (GOOD + "repeat = 0", "repeat"),
        (GOOD + "repeat = 1001", "repeat"),
        (GOOD + 'repeat = "many"', "repeat"),
        (GOOD + "nick = 1", "nick"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(text: str, key: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_suite(text, "s.toml")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"s.toml: {key}: ")


def test_every_problem_is_listed() -> None:
    with pytest.raises(BadInput) as caught:
        load_suite('nics = []\ncases = "x"\nnick = 1\n', "s.toml")
    keys = {problem.split(": ")[1] for problem in caught.value.problems}
    assert keys == {"description", "kernels", "nics", "cases", "nick"}
    assert "description, kernels, nics, cases, repeat" in caught.value.hint


def test_what_is_not_toml_is_told_where() -> None:
    with pytest.raises(BadInput, match=r"s\.toml: not TOML: .*line 2"):
        load_suite("description = 'd'\nnics = nine\n", "s.toml")


@pytest.mark.parametrize("name", suite_names())
def test_the_suites_of_this_checkout_name_only_what_there_is(name: str) -> None:
    suite = read_suite(name)
    assert not unknown("NIC profile", suite.nics, tuple(NICS))
    assert not unknown("case", suite.cases, tuple(CASES))


def test_there_is_a_default_suite() -> None:
    assert "default" in suite_names()


def test_unknown_names_come_with_the_nearest_known() -> None:
    known = ("hold", "release", "dead-memcg")
    assert unknown("case", ["hold"], known) == []
    assert unknown("case", ["holt", "xyz"], known) == ["unknown case 'holt'; did you mean hold?", "unknown case 'xyz'"]
