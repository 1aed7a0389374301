# SPDX-License-Identifier: GPL-2.0-only
"""`lab compare` and `lab history` on stored sessions."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.archive.stored import changed
from tests.unit.cli.conftest import Lab, write_run, write_session
from tests.unit.cli.test_escapes import EVIL, FORBIDDEN
from tests.unit.verdict.machine import KERNELS

SESSIONS = 6


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Six nights of two cases, a kernel each; in the last `hold` fails."""
    root = tmp_path / "results"
    for night in range(1, SESSIONS + 1):
        _, bundles = write_session(root, f"202601{night:02}-000000-aaaa", ("hold", "release"))
        if night == SESSIONS:
            write_run(bundles[0], "hold", kernel=KERNELS["stock"])
        for bundle in bundles:
            old = json.loads((bundle / "manifest.json").read_text())["kernel"]
            kernel = old | {"design": "stock", "name": f"6.12.{night}", "release": f"6.12.{night}"}
            changed(bundle, started=f"2026-01-{night:02}T00:00:00.000+00:00", kernel=kernel)
    return root


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_newest_session_is_compared_with_the_one_before(lab: Lab, results: Path) -> None:
    told = lab("compare")
    assert told.exit_code == 1
    said = words(told.stdout)
    assert "before: 20260105-000000-aaaa, 2 runs; after: 20260106-000000-aaaa, 2 runs" in said
    assert "new fail hold/e1000e-split" in said
    assert ":1 before, 1:1 after" in said
    assert "2 more runs would make it sure" in said
    assert f"{SESSIONS:02}-000000-aaaa/hold." in said
    assert "1 of 2 cells say what they said" in said
    assert "release" not in said
    assert "release" in lab("compare", "--all").stdout


def test_sides_are_sessions_kernels_or_days(lab: Lab, results: Path) -> None:
    assert lab("compare", "20260101", "20260102").exit_code == 0
    assert lab("compare", "6.12.1", "6.12.6").exit_code == 1
    days = lab("compare", "2026-01-01..2026-01-05", "2026-01-06", "--json")
    assert days.exit_code == 1
    (record,) = map(json.loads, days.stdout.splitlines())
    assert record["change"] == "new fail"
    assert record["before"] == {"failed": 0, "runs": 5, "silent": 0}
    assert record["why"]
    assert lab("compare", "--last", "5", "--json").stdout == days.stdout
    refused = lab("compare", "202601", "6.12.1")
    assert refused.exit_code == 2
    assert "may mean 6 sessions" in refused.stderr


def test_a_case_over_time(lab: Lab, results: Path, tmp_path: Path) -> None:
    told = lab("history", "hold", "--picture", tmp_path / "hold.svg")
    assert told.exit_code == 0
    said = words(told.stdout)
    assert "PPPPPF" in said
    assert "1:6 failed, 3..56 % with 95 %" in said
    assert "flaky" not in said
    svg = (tmp_path / "hold.svg").read_text()
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - ours
    assert "hold/e1000e-split/stock/6.12" in svg or "<path" in svg
    runs = [json.loads(line) for line in lab("history", "hold", "--kernel", "6.12.6", "--json").stdout.splitlines()]
    assert [run["word"] for run in runs] == ["FAIL"]


def test_nothing_of_a_bundle_reaches_terminal_or_picture_as_it_is(lab: Lab, results: Path, tmp_path: Path) -> None:
    (bundle,) = (results / "20260106-000000-aaaa").glob("hold.*")
    kernel = json.loads((bundle / "manifest.json").read_text())["kernel"]
    changed(bundle, run=EVIL, reproduce=EVIL, started=EVIL, nic=EVIL, kernel=kernel | {"release": EVIL, "name": EVIL})
    for argv in (("compare", "--all"), ("compare", "--json"), ("history", "hold", "--picture", tmp_path / "x.svg")):
        told = lab(*argv)
        assert told.exit_code in (0, 1), told.stderr
        assert not FORBIDDEN.search(told.stdout + told.stderr)
    svg = (tmp_path / "x.svg").read_text()
    assert "<script" not in svg
    ET.fromstring(svg)  # noqa: S314 - ours


KNOWN = """
[[issue]]
id = "escape-6.12"
case = "hold"
finding = "escaped"
kernel = ">=6.12.5"
"""


def test_a_known_issue_is_shown_as_known_everywhere_and_is_no_news(lab: Lab, results: Path, tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(KNOWN)
    told = lab("compare", "--known", file)
    assert told.exit_code == 0
    assert "known: new fail" in told.stdout
    assert "escape-6.12" in told.stdout
    mail = lab("report", "--mail", "--known", file)
    assert "nothing new; known and still there: 1" in mail.stderr
    assert lab("report", "--known", file).exit_code == 0
    for name in ("table.md", "report.html", "results.jsonl", "junit.xml", "results.ktap"):
        assert "escape-6.12" in (results / "20260106-000000-aaaa" / name).read_text(), name
    file.write_text(KNOWN.replace("6.12.5", "6.12.7"))
    from lab.archive.known import _read

    _read.cache_clear()
    assert lab("compare", "--known", file).exit_code == 1


def test_a_broken_file_of_known_issues_is_bad_input(lab: Lab, results: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('[[issue]]\nid = "x y"\nfinding = "("\n')
    for words in (("compare",), ("report",), ("run", "hold")):
        told = lab(*words, "--known", file)
        assert told.exit_code == 2
        assert "issue.0.id" in told.stderr
        assert "issue.0.finding" in told.stderr
    assert lab("compare", "--known", tmp_path / "nosuch").exit_code == 2


def test_a_session_as_a_mail(lab: Lab, results: Path, tmp_path: Path) -> None:
    told = lab("report", "--mail", "--from", "Lab <lab@example.org>")
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0] == "Subject: [lab] hold on e1000e-split: new fail since 6.12.6"
    assert all(len(line) <= 72 for line in lines[1:])
    for wanted in ("FAIL, was PASS", "Good        6.12.5", "1:1 bad, :1 good", "| FAIL", "Reported-by: Lab"):
        assert wanted in told.stdout, told.stdout
    assert not (results / "20260106-000000-aaaa" / "report.html").exists()
    wrong = lab("report", "--to", "nobody", "--smtp", ":1")
    assert wrong.exit_code == 2
    assert "3 problems" in wrong.stderr
    assert lab("report", "--mail", "20260101-000000-aaaa").exit_code == 2
