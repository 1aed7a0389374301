# SPDX-License-Identifier: GPL-2.0-only
"""`lab kernels` and its completion, on what test_resolve knows."""

from __future__ import annotations

import json

import pytest

from lab.cli import complete
from tests.unit.cli.conftest import Lab
from tests.unit.kernels.test_resolve import ELSEWHERE, KNOWN


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("catalogue", "stock"):
        monkeypatch.setattr(f"lab.kernels.{module}.everything", lambda: (*KNOWN, *ELSEWHERE))
    monkeypatch.setattr("lab.kernels.products.being_built", lambda: ("", ""))


def test_the_list_has_the_newest_of_each_line(lab: Lab) -> None:
    listed = lab("kernels")
    assert (listed.exit_code, listed.stderr) == (0, "")
    lines = [line.strip() for line in listed.stdout.splitlines()]
    assert [line.split(":")[0].split() for line in lines if line.startswith(("6.", "7."))] == [
        ["6.1", "6.1.0-56-amd64"],
        ["6.12", "6.12.117+deb12-amd64"],
        ["7.1", "7.1.13+deb13-amd64"],
        ["7.2", "7.2.12+deb13-amd64"],
        ["7.3", "7.3.4+deb13-amd64"],
    ]
    assert "6.12.117+deb12-amd64: 0 MB to fetch = newest" in lines[3]
    assert any(line.startswith("7.3") and line.endswith("= newest-any") for line in lines)
    assert "7.1.13+deb13-amd64: sid, 0 MB to fetch, its modules are gone from the" in listed.stdout
    assert "lab kernels --all: 6 more" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80


def test_a_kernel_that_is_being_built_is_listed_as_that(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.kernels.products.being_built", lambda: ("mine", "process 7"))
    (told,) = (line for line in lab("kernels").stdout.splitlines() if line.startswith("mine"))
    assert told.split(None, 1)[1].strip() == "being built by process 7"


def test_all_lists_every_one_under_its_line(lab: Lab) -> None:
    listed = lab("kernels", "--all").stdout
    assert all(listed.count(f"  {kernel.name} ") == 1 for kernel in (*KNOWN, *ELSEWHERE))
    assert "--all" not in listed
    assert max(map(len, listed.splitlines())) <= 80


def test_scripts_get_every_one(lab: Lab) -> None:
    records = [json.loads(line) for line in lab("kernels", "--json").stdout.splitlines()]
    assert [r["name"] for r in records] == [k.name for k in (*KNOWN, *ELSEWHERE)]
    assert (records[-1]["archive"], records[-1]["is_bare"]) == ("sid", True)


def test_a_tab_offers_lines_and_names_and_what_they_mean() -> None:
    offered = dict(complete.kernels(""))
    assert (offered["newest"], offered["newest-any"]) == ("6.12.117+deb12-amd64", "7.3.4+deb13-amd64")
    assert (offered["6.12"], offered["7.3"]) == ("6.12.117+deb12-amd64", "7.3.4+deb13-amd64")
    assert offered["7.2.12+deb13-amd64"] == "sid"
    assert {name for name, _ in complete.kernels("7.1")} == {"7.1", "7.1.13+deb13-amd64"}
