# SPDX-License-Identifier: GPL-2.0-only
"""Known issues: what they excuse, and what they never do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.errors import BadInput
from lab.spec.known import SECONDS, Failing, Issue, load_known, matched, version_of


def issue(**given: Any) -> Issue:  # noqa: ANN401 - any key
    return Issue.model_validate({"id": "one", "case": "hold", **given})


def failing(**given: Any) -> Failing:  # noqa: ANN401 - any field
    known: dict[str, Any] = {
        **{"case": "hold", "nic": "virtio", "design": "stock", "release": "6.12.117+deb12-amd64", "fault": False},
        **{"findings": ("billed: 251.9 MiB escaped",), "console": lambda: "[ 1.0] Out of memory: Killed process 7\n"},
    }
    return Failing(**{**known, **given})


def excused(run: Failing, *issues: Issue) -> list[str]:
    return [each.id for each in matched(issues, run).issues]


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({}, True),
        ({"case": "ho*"}, True),
        ({"case": "release, hold"}, True),
        ({"case": "release"}, False),
        ({"nic": "e1000e*"}, False),
        ({"design": "stock"}, True),
        ({"design": "put-hook"}, False),
        ({"kernel": "6.12"}, True),
        ({"kernel": "6.1"}, False),
        ({"kernel": ">=6.12.100, <6.13"}, True),
        ({"kernel": ">6.12.117"}, False),
        ({"kernel": "==6.12.117"}, True),
        ({"finding": r"\d+\.\d MiB escaped"}, True),
        ({"finding": "^billed:"}, True),
        ({"finding": "charged twice"}, False),
        ({"console": r"^\[ *\d+\.\d\] Out of memory"}, True),
        ({"console": "panic"}, False),
        ({"finding": "escaped", "console": "panic"}, False),
    ],
)
def test_all_that_an_issue_says_has_to_hold(given: dict[str, str], known: bool) -> None:
    assert bool(excused(failing(), issue(**given))) is known


def test_a_new_failure_beside_a_known_one_is_new() -> None:
    both = failing(findings=("billed: 251.9 MiB escaped", "innocent: a process was killed"))
    billed, innocent = issue(finding="escaped"), issue(id="two", finding="killed")
    assert excused(both, billed) == []
    assert excused(both, billed, innocent) == ["one", "two"]


def test_a_fault_of_the_kernel_is_known_only_by_an_expression() -> None:
    oops = failing(fault=True, findings=("kernel-alive: the receiver's kernel: oops: BUG",))
    assert excused(oops, issue()) == []
    assert excused(oops, issue(finding="oops: BUG")) == ["one"]


def test_what_says_nothing_of_itself_is_not_excused() -> None:
    assert excused(failing(findings=()), issue()) == []
    assert excused(failing(release="mine"), issue(kernel=">=6.12")) == []


def test_an_expression_that_takes_for_ever_excuses_nothing_and_is_told() -> None:
    evil = issue(console="(a+)+(b|c)+$")
    run, began = failing(console=lambda: "a" * 5000 + "!"), time.monotonic()
    found = matched([evil, issue(id="two")], run)
    assert time.monotonic() - began < 20 * SECONDS
    assert found.late == ("one",)
    assert [each.id for each in found.issues] == ["two"]


def test_a_console_is_read_only_where_an_issue_asks() -> None:
    def never() -> str:
        raise AssertionError("nobody asked")

    assert excused(failing(console=never), issue(finding="escaped")) == ["one"]


def test_versions_compare_as_kernels_do() -> None:
    names = ["6.1.192", "6.12", "6.12.117+deb12-amd64", "7.3.0-rc2", "7.3.0-rc10-lab", "7.3-lab", "7.3.4"]
    told = [version for name in names if (version := version_of(name)) is not None]
    assert told == sorted(told)
    assert len(told) == len(names)
    assert version_of("7.3-rc2") == version_of("7.3.0-rc2")
    assert version_of("next-20261127") is None


FILE = """
[[issue]]
id = "one two"
case = "hold"
[[issue]]
id = "two"
kernel = "six"
finding = "("
[[issue]]
id = "three"
[[issue]]
id = "four"
console = "x*"
colour = "red"
"""


def test_every_problem_of_a_file_is_told_at_once_with_file_and_key() -> None:
    with pytest.raises(BadInput) as caught:
        load_known(FILE, "known.toml")
    told = "\n".join(caught.value.problems)
    for wanted in ("issue.0.id", "issue.1.kernel", "issue.1.finding", "issue.2", "issue.3.console", "issue.3.colour"):
        assert f"known.toml: {wanted}" in told, told
    assert "match everything" in told


def test_a_file_names_an_issue_once_and_may_be_empty() -> None:
    assert load_known("", "known.toml") == ()
    with pytest.raises(BadInput, match="'a' is there 2 times"):
        load_known('[[issue]]\nid = "a"\ncase = "x"\n' * 2, "known.toml")
    (told,) = load_known('[[issue]]\nid = "a"\ncase = "x"\nsince = 2026-11-20\ntitle = "t"\n', "known.toml")
    assert told.told == "a: t, since 2026-11-20"
