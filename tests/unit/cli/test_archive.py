# SPDX-License-Identifier: GPL-2.0-only
"""`lab archive` as users see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.archive.stored import NEW, OLD, changed, write_results
from tests.unit.cli.conftest import Lab, write_session
from tests.unit.cli.test_escapes import EVIL, FORBIDDEN


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path / "results")
    return tmp_path / "results"


def test_sessions_are_listed_the_newest_first(lab: Lab, results: Path) -> None:
    told = lab("archive", "list")
    assert told.exit_code == 0
    assert told.stdout.index(NEW) < told.stdout.index(OLD)
    assert "3 of 3 runs: 1 FAIL, 2 PASS; 1 not as" in " ".join(told.stdout.split())
    rows = [json.loads(line) for line in lab("archive", "list", "--json").stdout.splitlines()]
    assert [row["session"] for row in rows] == [NEW, OLD]
    assert rows[1]["words"] == {"FAIL": 1, "PASS": 2}
    assert len(lab("archive", "list", "--last", "1", "--json").stdout.splitlines()) == 1


def test_a_session_in_which_nothing_was_run_is_never_the_newest(lab: Lab, results: Path) -> None:
    empty = "20260109-000000-dddd"
    _, (bundle,) = write_session(results, empty, ("hold",))
    for path in sorted(bundle.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert empty not in lab("archive", "list").stdout
    assert "nothing was run" in lab("archive", "list", "--all").stdout
    assert empty not in lab("show").stdout
    assert lab("report").stdout.strip() == str(results / NEW / "report.html")
    for folder in (OLD, NEW):
        (results / folder).rename(results.parent / folder)
    shown = lab("show")
    assert shown.exit_code == 2
    assert "in which anything was run" in shown.stderr


def test_a_run_is_shown_with_all_that_is_known(lab: Lab, results: Path) -> None:
    told = lab("archive", "show", "hold")
    assert told.exit_code == 0
    assert "the newest of 2 that begin so" in told.stdout
    assert f"session {NEW}" in " ".join(told.stdout.split())
    known = json.loads(lab("archive", "show", next((results / OLD).glob("hold.*")).name, "--json").stdout)
    assert (known["word"], known["surprise"]) == ("FAIL", 1)
    assert known["findings"][0]["word"] == "FAIL"
    assert known["kernel"]["release"].startswith("6.12")
    runs = [json.loads(line) for line in lab("archive", "show", OLD, "--json").stdout.splitlines()]
    assert len(runs) == 3


def test_a_pruned_run_is_still_known(lab: Lab, results: Path) -> None:
    run = next((results / NEW).glob("hold.*")).name
    _, (later,) = write_session(results, "20260103-000000-cccc", ("hold",))
    changed(later, started="2026-01-20T00:00:00.000+00:00")
    told = lab("archive", "prune", "--keep-days", "0", "--dry-run")
    assert "0 bundles" in told.stdout  # a change: FAIL before it
    for day, bundle in enumerate(sorted(results.glob("*/hold.*")), 1):
        changed(bundle, predicted="PASS", started=f"2026-01-{day:02}T00:00:00.000+00:00")
    (results / OLD).rename(results.parent / OLD)
    assert "would remove" in lab("archive", "prune", "--keep-days", "0", "--dry-run").stdout
    assert "removed" in lab("archive", "prune", "--keep-days", "0").stdout
    shown = lab("archive", "show", run)
    assert "its bytes are gone" in " ".join(shown.stdout.split())
    refused = lab("show", run)
    assert refused.exit_code == 2
    assert "was pruned" in refused.stderr
    assert f"lab archive show {run}" in refused.stderr
    assert (results / NEW / run / "pruned.json").stat().st_mode & 0o777 == 0o600
    assert (results / ".archive").stat().st_mode & 0o077 == 0
    (results / NEW / "report.html").write_text("as it was")
    kept = lab("report", NEW)
    assert kept.exit_code == 2
    assert "1 of its bundles were pruned" in kept.stderr
    assert (results / NEW / "report.html").read_text() == "as it was"
    assert "pruned, and not in this table: 1" in lab("show", NEW).stdout
    assert "1 bundle of these pruned" in lab("archive", "list").stdout
    assert lab("archive", "prune", "--most", "0").stderr.startswith("more than 0 GiB are left")


def test_a_rebuild_tells_whose_word_is_another_one(lab: Lab, results: Path) -> None:
    lab("archive", "list")
    (bundle,) = (results / OLD).glob("hold.*")
    (bundle / "receiver" / "console.log").write_text("not what it was\n")
    told = lab("archive", "rebuild")
    assert told.exit_code == 0
    assert f"{bundle.name}: ERROR, was FAIL" in told.stdout
    assert "5 bundles were read" in told.stdout


def test_nothing_of_a_bundle_reaches_the_terminal_as_it_is(lab: Lab, results: Path) -> None:
    (bundle,) = (results / OLD).glob("hold.*")
    manifest = json.loads((bundle / "manifest.json").read_text())
    kernel = manifest["kernel"] | {"name": EVIL, "release": EVIL}
    host = manifest["host"] | {"node": EVIL, "qemu": EVIL, "cpu": EVIL, "cpus": 3}
    changed(bundle, run=EVIL, reproduce=EVIL, lab_version=EVIL, started=EVIL, kernel=kernel, host=host)
    for words in (("list",), ("show", OLD), ("show", OLD, "--json"), ("list", "--json"), ("rebuild",)):
        told = lab("archive", *words)
        assert told.exit_code == 0
        assert not FORBIDDEN.search(told.stdout + told.stderr)
