# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB, read by kcidb-io: `pip install .[kcidb]`, which is no part of the development tools."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import BadInput
from lab.report.kcidb import render
from lab.report.model import RunResult
from lab.spec.known import Issue
from lab.verdict.model import Word
from tests.unit.cli.test_escapes import EVIL
from tests.unit.report import builder

ISSUE = Issue(id="one", case="hold", title="t", link="https://lore.kernel.org/x")


def told(*runs: RunResult, issues: tuple[Issue, ...] = ()) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(builder.session(*runs), "thelab", issues))
    return document


def _sessions() -> list[tuple[RunResult, ...]]:
    known = replace(builder.result(Word.FAIL), known=(ISSUE.told,))
    weird = builder.result(Word.ERROR, predicted="PASS", case=EVIL, message=EVIL, bundle=EVIL)
    return [builder.full_session().results, (), (known,), (weird,)]


@pytest.mark.parametrize("runs", _sessions(), ids=["full", "empty", "known", "weird"])
def test_kcidb_io_takes_it(runs: tuple[RunResult, ...]) -> None:
    kcidb_io = pytest.importorskip("kcidb_io")
    version = kcidb_io.schema.V5_3 if hasattr(kcidb_io.schema, "V5_3") else kcidb_io.schema.LATEST
    document = told(*runs, issues=(ISSUE,))
    assert version.is_compatible_exactly(document)
    version.validate(document)
    document["tests"] = [{"id": "no origin", "build_id": "x:y", "origin": "thelab"}]
    with pytest.raises(Exception, match="no origin"):
        version.validate(document)


def test_all_that_is_named_is_there() -> None:
    document = told(*builder.full_session().results)
    builds, checkouts = ({each["id"] for each in document[key]} for key in ("builds", "checkouts"))
    assert {test["build_id"] for test in document["tests"]} == builds
    assert {build["checkout_id"] for build in document["builds"]} == checkouts
    assert len({test["id"] for test in document["tests"]}) == 32
    assert {test["status"] for test in document["tests"]} == {"PASS", "FAIL", "ERROR", "MISS", "SKIP", "DONE"} & {
        result.verdict.word.value for result in builder.full_session().results
    }


def test_paths_are_the_same_every_night() -> None:
    one, two = builder.result(Word.FAIL), builder.result(Word.PASS, repeat=2)
    first, second = told(one, two)["tests"]
    assert first["path"] == second["path"] == "lab.hold.virtio.stock.6.12"
    assert first["misc"]["predicted"] == "FAIL"


def test_known_issues_are_issues_with_incidents() -> None:
    known = replace(builder.result(Word.FAIL), known=(ISSUE.told,))
    document = told(known, builder.result(repeat=2), issues=(ISSUE, Issue(id="two", case="x")))
    assert [issue["id"] for issue in document["issues"]] == ["thelab:one"]
    (incident,) = document["incidents"]
    assert (incident["issue_id"], incident["test_id"]) == ("thelab:one", document["tests"][0]["id"])
    assert "issues" not in told(builder.result())


def test_an_origin_is_one() -> None:
    with pytest.raises(BadInput):
        render(builder.session(), "The Lab")
