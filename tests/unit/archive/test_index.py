# SPDX-License-Identifier: GPL-2.0-only
"""The index is a copy of what the bundles say: whatever happens to it, it says the same again."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lab.archive import index as module
from lab.archive.fill import catch_up
from lab.archive.index import FOLDER, DamagedError, Index, drop, opened, use_index
from lab.archive.rows import RunRow
from lab.archive.schema import MIGRATIONS
from lab.errors import HostTrouble
from tests.unit.archive.stored import Contents, asked, contents, write_results
from tests.unit.damaged import flip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contents]:
    """Results with an index, and what that says."""
    root = tmp_path_factory.mktemp("made") / "results"
    write_results(root)
    return root, asked(root)


@pytest.fixture
def results(made: tuple[Path, Contents], tmp_path: Path) -> tuple[Path, Contents]:
    """A copy of them that may be damaged."""
    shutil.copytree(made[0], tmp_path / "results")
    return tmp_path / "results", made[1]


def index_file(root: Path) -> Path:
    (path,) = (root / FOLDER).glob("index-*.sqlite3")
    return path


def test_it_holds_what_there_is(made: tuple[Path, Contents]) -> None:
    _, rows = made
    assert {table: len(found) for table, found in rows.items() if table not in ("findings", "hosts", "kernels")} == {
        "sessions": 2,
        "bundles": 5,
        "runs": 5,
    }
    assert rows["findings"]
    assert rows["kernels"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.5, 0.75, 0.999])
def test_one_that_was_cut_short_is_made_anew(results: tuple[Path, Contents], share: float) -> None:
    root, rows = results
    path = index_file(root)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    assert asked(root) == rows


@pytest.mark.parametrize("number", range(40))
def test_one_with_a_flipped_bit_says_the_same(results: tuple[Path, Contents], number: int) -> None:
    root, rows = results
    flip(index_file(root), number / 40)
    told: list[RunRow] = []

    def ask(index: Index) -> Contents:
        catch_up(index, root)
        told[:] = index.take(RunRow)
        return contents(index)

    found = use_index(root, ask)
    assert found["runs"] == rows["runs"]
    assert len(told) == 5


@pytest.mark.parametrize("what", ["absent", "text", "other", "folder"])
def test_what_is_no_index_is_made_anew(results: tuple[Path, Contents], what: str) -> None:
    root, rows = results
    path = index_file(root)
    path.unlink()
    if what == "text":
        path.write_text("this is no database, and longer than the header of one would be\n" * 100)
    elif what == "other":
        with sqlite3.connect(path) as other:
            other.executescript("CREATE TABLE runs (a); PRAGMA user_version = 1;")
    elif what == "folder":
        path.mkdir()
    assert asked(root) == rows


def test_a_row_that_was_changed_is_not_believed(results: tuple[Path, Contents]) -> None:
    root, rows = results
    with sqlite3.connect(index_file(root)) as connection:
        connection.execute("UPDATE runs SET word = 'PASS' WHERE word = 'FAIL'")
    with opened(root) as index, pytest.raises(DamagedError):
        index.take(RunRow)

    def ask(index: Index) -> list[RunRow]:
        catch_up(index, root)
        return index.take(RunRow, "WHERE surprise")

    assert [run.word for run in use_index(root, ask)] == ["FAIL"]
    assert asked(root) == rows


def test_an_old_schema_is_brought_up_to_date_with_its_rows(
    results: tuple[Path, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = results
    before = index_file(root)
    step = ("CREATE TABLE more (a INTEGER) STRICT", "INSERT INTO more VALUES (7)")
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr(module, "VERSION", len(MIGRATIONS) + 1)
    with opened(root) as index:
        assert index.execute("SELECT a FROM more") == [(7,)]
        assert contents(index) == rows
    assert index_file(root) == before
    with opened(root) as index:
        assert index.execute("SELECT count(*) FROM more") == [(1,)]


def test_a_step_that_fails_leaves_the_old_schema(
    results: tuple[Path, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rows = results
    with monkeypatch.context() as patched:
        patched.setattr(module, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE more (a INTEGER)", "nonsense")))
        with pytest.raises(DamagedError), opened(root):
            pass
    with opened(root) as index:
        assert index.execute("SELECT name FROM sqlite_master WHERE name = 'more'") == []
        assert contents(index) == rows


def test_one_that_a_newer_lab_wrote_is_left_alone(results: tuple[Path, Contents]) -> None:
    root, _ = results
    with sqlite3.connect(index_file(root)) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = index_file(root).read_bytes()
    with pytest.raises(HostTrouble, match="schema 99") as refusal:
        asked(root)
    assert "lab archive rebuild" in refusal.value.hint
    assert index_file(root).read_bytes() == before


def test_where_nothing_can_be_kept_all_is_read(
    results: tuple[Path, Contents], capsys: pytest.CaptureFixture[str]
) -> None:
    root, rows = results
    shutil.rmtree(root / FOLDER)
    (root / FOLDER).write_text("in the way")
    assert asked(root) == rows
    assert "nothing is kept" in capsys.readouterr().err
    assert (root / FOLDER).read_text() == "in the way"


def test_who_has_the_old_one_open_spoils_nothing(results: tuple[Path, Contents]) -> None:
    root, rows = results
    with opened(root) as old:
        drop(root)
        assert asked(root) == rows
        (run, *_) = old.take(RunRow)
        with old.change():
            old.put(replace(run, key="of nobody"))
    assert asked(root) == rows
    assert len(list((root / FOLDER).glob("index-*"))) == 1


def test_a_change_is_whole_or_not_there(results: tuple[Path, Contents]) -> None:
    root, rows = results
    with opened(root) as index:
        (run, *_) = index.take(RunRow)

        def half() -> None:
            with index.change():
                index.put(replace(run, key="half"))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half()
        assert contents(index) == rows
