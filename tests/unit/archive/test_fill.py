# SPDX-License-Identifier: GPL-2.0-only
"""Rows are made of bundles: it does not matter when, by whom, in which order, or how often they are read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.archive import fill
from lab.archive.fill import Filled, catch_up, fill_one
from lab.archive.index import FOLDER, Index, opened, use_index
from lab.archive.places import PLACES, add_place, forget_place, places
from lab.archive.reports import Draughtsman, judged
from lab.archive.rows import UNREAD, BundleRow, KernelRow, RunRow, SessionRow
from lab.errors import BadInput
from lab.plan.session import PLAN_FILE
from tests.unit.archive.stored import NEW, OLD, anew, asked, changed, write_results
from tests.unit.cli.conftest import write_run, write_session
from tests.unit.verdict.machine import KERNELS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_results(tmp_path / "results")
    return tmp_path / "results"


def filled(root: Path) -> Filled:
    return use_index(root, lambda index: catch_up(index, root))


def runs(root: Path) -> dict[str, RunRow]:
    """By the beginning of their names, e.g. `hold`, what the index says when it is up to date."""

    def ask(index: Index) -> list[RunRow]:
        catch_up(index, root)
        return index.take(RunRow, "ORDER BY started")

    return {run.run: run for run in use_index(root, ask)}


def test_a_row_says_what_the_bundle_says(root: Path) -> None:
    bundle = next((root / OLD).glob("hold.*"))
    result, row = judged(bundle, bundle.name), runs(root)[bundle.name]
    assert (row.word, row.predicted, row.surprise) == ("FAIL", "PASS", 1)
    assert (row.session, row.case_name, row.nic) == (OLD, "hold", result.manifest.nic)
    assert result.verdict.ledger.last is not None
    assert row.escaped == result.verdict.ledger.last.escape
    assert row.why in {finding.message for finding in result.verdict.findings}
    assert row.cell == f"hold/{row.nic}/{row.design}/6.12"


def test_what_was_filled_run_by_run_is_what_the_bundles_say(root: Path) -> None:
    for folder in (root / OLD, root / NEW):
        draughtsman = Draughtsman(folder)
        for bundle in folder.glob("*.*.*"):
            draughtsman.take(bundle.name)
        draughtsman.finish()
    with opened(root) as index:
        assert len(index.take(RunRow)) == 5
    assert filled(root).added == 0
    before = asked(root)
    assert before == anew(root)


def test_what_is_read_twice_is_there_once(root: Path) -> None:
    first = asked(root)
    assert filled(root) == Filled()
    with opened(root) as index:
        index.execute("DELETE FROM stamps")
    assert filled(root).added == 5
    assert asked(root) == first == anew(root)


def test_a_session_never_fails_for_its_archive(root: Path) -> None:
    bundle = next((root / OLD).glob("hold.*"))
    (root / FOLDER).write_text("in the way")
    fill_one(root / OLD, bundle.name, judged(bundle, bundle.name))
    assert (root / FOLDER).read_text() == "in the way"
    (root / FOLDER).unlink()
    fill_one(root / OLD, "absent", judged(bundle, bundle.name))
    assert "absent" not in runs(root)
    assert bundle.name in runs(root)


def test_a_damaged_index_is_no_trouble_for_a_session(root: Path) -> None:
    asked(root)
    (path,) = (root / FOLDER).glob("index-*.sqlite3")
    path.write_bytes(b"nonsense" * 1000)
    bundle = next((root / OLD).glob("hold.*"))
    result = judged(bundle, bundle.name)
    fill_one(root / OLD, bundle.name, result)
    fill_one(root / OLD, bundle.name, result)
    with opened(root) as index:
        assert [run.run for run in index.take(RunRow)] == [bundle.name]
    assert asked(root) == anew(root)


def test_a_bundle_that_changed_is_read_again_and_one_that_is_gone_is_forgotten(root: Path) -> None:
    asked(root)
    bundle = next((root / OLD).glob("hold.*"))
    changed(bundle, predicted="FAIL", started="2026-01-09T00:00:00+00:00")
    assert runs(root)[bundle.name].surprise == 0
    assert asked(root) == anew(root)
    shutil.rmtree(root / NEW)
    assert filled(root).gone == 2
    assert len(runs(root)) == 3
    assert asked(root) == anew(root)


def test_a_copy_is_no_other_run(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / OLD, tmp_path / "elsewhere" / OLD)
    add_place(root, tmp_path / "elsewhere")
    assert len(runs(root)) == 5
    with opened(root) as index:
        assert len(index.take(BundleRow)) == 8
    assert asked(root) == anew(root)
    shutil.rmtree(root / OLD)
    assert len(runs(root)) == 5
    assert asked(root) == anew(root)


@pytest.mark.parametrize("level", ["results", "session", "bundle"])
def test_bundles_elsewhere_are_known_by_their_place(root: Path, tmp_path: Path, level: str) -> None:
    folder, (bundle,) = write_session(tmp_path / "other", "20250101-000000-cccc", ("sock-control",))
    add_place(root, {"results": tmp_path / "other", "session": folder, "bundle": bundle}[level])
    row = runs(root)[bundle.name]
    assert row.session == folder.name
    assert asked(root) == anew(root)
    forget_place(root, {"results": tmp_path / "other", "session": folder, "bundle": bundle}[level])
    assert bundle.name not in runs(root)
    assert asked(root) == anew(root)


def test_a_place_that_cannot_be_reached_keeps_its_rows(root: Path, tmp_path: Path) -> None:
    _, (bundle,) = write_session(tmp_path / "other", "20250101-000000-cccc", ("sock-control",))
    add_place(root, tmp_path / "other")
    asked(root)
    (tmp_path / "other").rename(tmp_path / "unmounted")
    assert filled(root).away == (str(tmp_path / "other"),)
    assert bundle.name in runs(root)


def test_what_is_no_place_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, why in ((tmp_path / "empty", "holds no bundle"), (tmp_path / "no", "no such folder"), (root, "in the")):
        with pytest.raises(BadInput, match=why):
            add_place(root, folder)
    with pytest.raises(BadInput, match="was not added"):
        forget_place(root, tmp_path)
    assert places(root) == ("",)


def test_damaged_notes_of_places_are_put_aside(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "other", "20250101-000000-cccc", ("sock-control",))
    add_place(root, tmp_path / "other")
    note = root / FOLDER / PLACES
    note.write_text(note.read_text().replace("other", "ether"))
    assert places(root) == ("",)
    assert "damaged" in capsys.readouterr().err


def test_what_a_lost_run_left_is_no_run(root: Path) -> None:
    bundle = next((root / OLD).glob("hold.*"))
    shutil.copytree(bundle, bundle.with_name(f"{bundle.name}.lost-1"))
    assert len(runs(root)) == 5


def test_what_cannot_be_read_is_told_each_time_and_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = next((root / OLD).glob("hold.*"))
    (bundle / "manifest.json").write_text("{")
    first = filled(root)
    assert len(first.unread) == 1
    assert bundle.name in first.unread[0]
    assert filled(root) == Filled(unread=first.unread)
    assert len(runs(root)) == 4
    assert asked(root) == anew(root)
    monkeypatch.setattr(fill, "_source", lambda: "of tomorrow")
    assert filled(root).added == 1  # other code may be able to


def test_a_session_without_its_plan_has_the_runs_all_the_same(root: Path) -> None:
    whole = runs(root)
    (root / OLD / PLAN_FILE).unlink()
    (root / NEW / PLAN_FILE).write_text("{")
    assert runs(root) == whole

    def ask(index: Index) -> dict[str, SessionRow]:
        catch_up(index, root)
        return {row.folder: row for row in index.take(SessionRow)}

    rows = use_index(root, ask)
    assert (rows[OLD].planned, rows[OLD].problem) == (0, "")
    assert "damaged" in rows[NEW].problem
    assert asked(root) == anew(root)


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    asked(root)
    write_session(tmp_path / "other", "20250101-000000-cccc", ("sock-control",))
    (root / "link").symlink_to(tmp_path / "other" / "20250101-000000-cccc")
    (root / OLD / "run.link").symlink_to(next((root / NEW).glob("hold.*")))
    (bundle := root / OLD / "sly").mkdir()
    (bundle / "manifest.json").symlink_to(next((root / NEW).glob("hold.*")) / "manifest.json")
    os.mkfifo((root / OLD / "fifo").with_name("plan.fifo"))
    assert len(runs(root)) == 5


def test_names_and_texts_of_strangers_are_harmless(root: Path) -> None:
    bundle = next((root / OLD).glob("hold.*"))
    changed(bundle, run="x\x1b[31m\u202e" + "y" * 400, reproduce="z\x07" * 8000, host=evil_host(bundle))
    os.rename(bundle, os.fsencode(bundle.with_name("hold")) + b"\xff\xfe")
    found = filled(root)
    assert any("nobody can show" in problem for problem in found.problems)
    other = next((root / NEW).glob("hold.*"))
    changed(other, run="x\x1b[31m\u202e" + "y" * 400, reproduce="z\x07" * 8000, host=evil_host(other))
    (row,) = [run for run in runs(root).values() if run.run.startswith("x")]
    assert row.run.isprintable()
    assert row.reproduce.isprintable()
    assert len(row.reproduce) <= 1000
    with opened(root) as index:
        assert max(host[4] for host in index.execute("SELECT * FROM hosts")) == 2**63 - 1
    assert asked(root) == anew(root)


def evil_host(bundle: Path) -> dict[str, object]:
    host: dict[str, object] = json.loads((bundle / "manifest.json").read_text())["host"]
    return host | {"cpus": 2**64 - 1, "node": "\x1b]0;t\x07"}


def test_kernels_that_no_run_has_are_forgotten(root: Path) -> None:
    asked(root)
    for bundle in root.glob("*/*.*.*"):
        kernel = json.loads((bundle / "manifest.json").read_text())["kernel"]
        changed(bundle, kernel=kernel | {"name": "mine", "release": "7.3.0-rc1", "described": "v7.3-rc1-4-g0123"})
    assert {run.line for run in runs(root).values()} == {"7.3"}
    with opened(root) as index:
        assert {kernel.described for kernel in index.take(KernelRow)} == {"v7.3-rc1-4-g0123"}


READER = """
import sys
from pathlib import Path
from lab.archive.fill import catch_up
from lab.archive.index import use_index
root = Path(sys.argv[1])
for _ in range(3):
    use_index(root, lambda index: (index.execute("DELETE FROM stamps"), catch_up(index, root)))
"""


def test_several_processes_fill_one_index(root: Path) -> None:
    argv = [sys.executable, "-c", READER, str(root)]
    readers = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for number in range(3):
        write_run(root / NEW / f"hold.e1000e-split.{number:08x}", "hold", kernel=KERNELS["stock"])
        filled(root)
    said = [reader.communicate()[1] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0], said
    assert len(runs(root)) == 8
    assert asked(root) == anew(root)


def test_unread_bundles_have_no_run(root: Path) -> None:
    (next((root / OLD).glob("hold.*")) / "manifest.json").write_text("{")
    filled(root)
    with opened(root) as index:
        (row,) = index.take(BundleRow, "WHERE state = ?", UNREAD)
    assert (row.key, row.size) == ("", 0)
