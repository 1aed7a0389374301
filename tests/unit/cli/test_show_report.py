# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.cli.find import find, find_run, sessions
from lab.errors import BadInput
from tests.unit.cli.conftest import Lab, write_run, write_session

OLD, NEW = "20260101-000000-aaaa", "20260102-000000-bbbb"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two sessions; `hold` was run in both, `release` only in the old one."""
    write_session(tmp_path / "results", OLD, ("hold", "release"))
    write_session(tmp_path / "results", NEW, ("hold", "copy-control"))
    return tmp_path / "results"


def test_runs_are_found_by_id_beginning_and_path(results: Path) -> None:
    old_hold = next((results / OLD).glob("hold.*"))
    new_hold = next((results / NEW).glob("hold.*"))
    assert find(old_hold.name, results) == old_hold
    assert find("hold", results) == new_hold  # the newest session that has one
    assert find("rel", results).parent.name == OLD
    assert find(str(old_hold), results) == old_hold
    assert find(str(results / OLD), results).name == OLD
    assert find("20260101", results).name == OLD
    assert [s.name for s in sessions(results)] == [NEW, OLD]


def test_what_is_ambiguous_lists_its_candidates(results: Path) -> None:
    with pytest.raises(BadInput) as caught:
        find("2026", results)
    assert OLD in str(caught.value)
    assert NEW in str(caught.value)
    write_session(results, "20260103-000000-cccc", ("copy-control", "hold"))
    other = results / "20260103-000000-cccc"
    (twin := next(other.glob("hold.*"))).rename(twin.with_name("copy-other.x"))
    with pytest.raises(BadInput, match=r"may mean 2 things:\n  copy-control.*\n  copy-other.x"):
        find("copy", results)


def test_a_case_that_was_run_on_two_nics_shows_the_run_that_ended_last(lab: Lab, results: Path) -> None:
    folder, (first,) = write_session(results, "20260103-000000-cccc", ("hold",))
    second = write_run(folder / "hold.virtio.0", "hold")
    for age, bundle in enumerate((second, first)):
        os.utime(bundle / "manifest.json", (1_700_000_000 - age, 1_700_000_000 - age))
    shown = lab("show", "hold")
    assert shown.exit_code == 0
    assert "hold.virtio.0" in shown.stdout
    assert f"the newest of 2 that begin so; the others: {first.name}" in " ".join(shown.stderr.split())
    os.utime(first / "manifest.json", (1_800_000_000, 1_800_000_000))
    assert "the others: hold.virtio.0" in " ".join(lab("show", "hold").stderr.split())


def test_what_is_not_there_names_what_is_near(lab: Lab, results: Path) -> None:
    shown = lab("show", "20260109-000000-aaaa")
    assert shown.exit_code == 2
    assert f"close: {OLD}" in shown.stderr
    assert lab("show", "zzz", "--results", results / "nowhere").exit_code == 2


def test_a_session_is_no_run(results: Path) -> None:
    with pytest.raises(BadInput, match="is a session of 2 runs: hold"):
        find_run(OLD, results)


def test_show_prints_a_run_and_its_json(lab: Lab, results: Path) -> None:
    shown = lab("show", "hold", "--results", results)
    assert shown.exit_code == 0
    assert "Ledger" in shown.stdout
    assert "Reproduce" in shown.stdout
    assert json.loads(lab("show", "hold", "--json").stdout)["case"] == "hold"


def test_show_without_a_name_lists_the_newest_session(lab: Lab, results: Path) -> None:
    shown = lab("show")
    assert shown.exit_code == 0
    assert "All are as predicted." in shown.stdout
    assert all(bundle.name in shown.stdout for bundle in (results / NEW).glob("*.*.*"))
    assert len(lab("show", OLD, "--json").stdout.splitlines()) == 2


def test_nothing_was_run_yet(lab: Lab) -> None:
    shown = lab("show")
    assert shown.exit_code == 2
    assert "holds no session" in shown.stderr
    assert "lab run fast" in shown.stderr


def test_report_writes_all_formats_where_the_session_lies_now(lab: Lab, results: Path) -> None:
    made = lab("report", "hold")
    assert made.exit_code == 0
    page = results / NEW / "report.html"
    assert made.stdout.strip() == str(page)
    assert page.read_text().startswith("<!")
    assert {p.name for p in (results / NEW).iterdir()} >= {"junit.xml", "results.ktap", "results.jsonl"}


def test_a_run_without_its_session_has_no_report(lab: Lab, results: Path) -> None:
    (results / NEW / "plan.json").unlink()
    made = lab("report", next((results / NEW).glob("hold.*")))
    assert made.exit_code == 2
    assert "is a run without its session" in made.stderr
