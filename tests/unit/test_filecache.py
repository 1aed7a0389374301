from __future__ import annotations

import errno
import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from lab.errors import FetchFailed, HostTrouble
from lab.filecache import ensure_dir, key_of, require_space, sha256_of


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


def test_a_changed_file_has_another_hash(tmp_path: Path, own_cache: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(bytes(2 << 20))
    first = sha256_of(file)
    assert sha256_of(file) == first
    assert len(list((own_cache / "hashes").iterdir())) == 1
    file.write_bytes(bytes(2 << 20) + b"1")
    assert sha256_of(file) != first


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
