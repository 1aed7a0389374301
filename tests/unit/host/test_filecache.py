# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import errno
import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from lab.errors import FetchFailed, HostTrouble
from lab.host.filecache import ensure_dir, ensure_sealed, key_of, require_space
from tests.unit.damaged import flip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def quiet(_: str) -> None:
    pass


def test_it_is_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []
    for _ in range(2):
        ensure_dir(tmp_path / "x", calls.append, progress=quiet)
    assert len(calls) == 1
    assert (tmp_path / "x").is_dir()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def half(partial: Path) -> None:
        (partial / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_dir(tmp_path / "x", half, progress=quiet)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []


def test_what_a_killed_process_left_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial" / "old").touch()
    ensure_dir(tmp_path / "x", lambda partial: (partial / "new").touch(), progress=quiet)
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["new"]


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, FetchFailed), (errno.EACCES, HostTrouble)])
def test_disk_trouble_is_told_with_a_hint(tmp_path: Path, code: int, error: type[Exception]) -> None:
    def fail(_: Path) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(error, match="LAB_CACHE"):
        ensure_dir(tmp_path / "x", fail, progress=quiet)


def test_a_disk_too_small_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="are needed"):
        require_space(tmp_path, 1 << 60)


def _append(partial: Path) -> None:
    with (partial.parent / "calls").open("a") as calls:
        calls.write("x")


def _ask(target: Path) -> None:
    ensure_dir(target, _append, progress=quiet)


def test_processes_at_the_same_time_make_it_once(tmp_path: Path) -> None:
    workers = [get_context("fork").Process(target=_ask, args=(tmp_path / "x",)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0] * 4
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("name", ["large", "sub/small", "sealed.json"])
def test_what_is_damaged_is_told_dropped_and_made_again(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(partial: Path) -> None:
        (partial / "sub").mkdir()
        (partial / "sub" / "small").write_bytes(b"s")
        (partial / "large").write_bytes(bytes(1 << 20))

    target = tmp_path / "x"
    for _ in range(2):
        ensure_sealed(target, make, progress=quiet)
    assert capsys.readouterr().err == ""
    flip(target / name)
    ensure_sealed(target, make, progress=quiet)
    told = capsys.readouterr().err
    assert name in told
    assert "is made again" in told
    assert (target / "large").read_bytes() == bytes(1 << 20)
    ensure_sealed(target, make, progress=quiet)
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir() if "dropped" in path.name] == []


def test_what_can_not_be_made_again_is_gone_all_the_same(tmp_path: Path) -> None:
    """Rather nothing than something damaged."""

    def fail(_: Path) -> None:
        raise HostTrouble("no network")

    target = ensure_sealed(tmp_path / "x", lambda partial: (partial / "f").touch(), progress=quiet)
    (target / "f").write_bytes(b"1")
    with pytest.raises(HostTrouble):
        ensure_sealed(target, fail, progress=quiet)
    assert not target.exists()


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
