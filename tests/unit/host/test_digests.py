# SPDX-License-Identifier: GPL-2.0-only
"""What is remembered of a file's digest, and what makes it be read again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.host import digests
from lab.host.digests import damage_of, damage_to, seal, sha256_of, sparse_digest
from lab.units import MIB
from tests.unit.damaged import flip

Digest = Callable[..., str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that nobody has changed for a while."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 2 * MIB)
    settle(path)
    return path


def settle(path: Path) -> None:
    """Until the clock that stamps files has gone on: what is younger is not remembered."""
    while time.time_ns() - path.stat().st_ctime_ns <= digests.TICK_NS:
        os.sched_yield()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is read from its first byte to its last."""
    seen: list[Path] = []
    for name in ("_sha256", "_sparse_sha256"):
        whole = getattr(digests, name)

        def counted(path: Path, whole: Callable[[Path], str] = whole) -> str:
            seen.append(path)
            return whole(path)

        counted.__name__ = name
        monkeypatch.setattr(digests, name, counted)
    return seen


@pytest.mark.parametrize("digest", [sha256_of, sparse_digest])
def test_a_file_that_is_left_alone_is_read_once(digest: Digest, file: Path, reads: list[Path]) -> None:
    assert digest(file) == digest(file) == digest(file)
    assert reads == [file]
    digest(file, anew=True)
    assert reads == [file, file]


@pytest.mark.parametrize("digest", [sha256_of, sparse_digest])
@pytest.mark.parametrize("set_back", [False, True])
def test_a_flipped_bit_is_seen(digest: Digest, file: Path, *, set_back: bool) -> None:
    first, before = digest(file), file.stat()
    flip(file)
    if set_back:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(file) != first


def test_a_file_that_was_changed_just_now_is_not_remembered(tmp_path: Path, reads: list[Path]) -> None:
    """Another change within the same tick would leave the same times."""
    path = tmp_path / "young"
    path.write_bytes(bytes(MIB))
    now = path.stat().st_ctime_ns
    sha256_of(path)
    if time.time_ns() - now <= digests.TICK_NS:  # else this host was too slow for the test to say anything
        sha256_of(path)
        assert len(reads) == 2


def test_a_damaged_memory_is_none(file: Path, cache: Path, reads: list[Path]) -> None:
    first = sha256_of(file)
    (memo,) = (cache / "hashes").iterdir()
    flip(memo, 0.1)
    assert sha256_of(file) == first
    memo.write_bytes(b"")
    assert sha256_of(file) == first
    assert len(reads) == 3


def test_a_cache_that_cannot_be_written_costs_time_only(file: Path, cache: Path, reads: list[Path]) -> None:
    cache.write_text("no directory")
    assert sha256_of(file) == sha256_of(file)
    assert len(reads) == 2


def test_holes_and_zeros_are_the_same(tmp_path: Path) -> None:
    sparse, dense, other = (tmp_path / name for name in ("sparse", "dense", "other"))
    data = bytes(3 * MIB) + b"data" + bytes(MIB)
    dense.write_bytes(data)
    with sparse.open("wb") as stream:
        stream.seek(3 * MIB)
        stream.write(b"data")
        stream.truncate(len(data))
    assert sparse_digest(sparse) == sparse_digest(dense)
    assert sparse_digest(sparse, anew=True) == sparse_digest(dense)
    other.write_bytes(bytes(2 * MIB) + b"data" + bytes(2 * MIB))  # the same bytes elsewhere
    assert sparse_digest(other) != sparse_digest(dense)
    for size in (len(data) - 1, len(data) + 1):
        shutil.copy(dense, other)
        os.truncate(other, size)
        assert sparse_digest(other) != sparse_digest(dense)


def test_damage_names_the_file_and_both_digests(file: Path) -> None:
    wanted = sha256_of(file)
    assert damage_to(file, wanted) == ""
    flip(file)
    told = damage_to(file, wanted)
    assert str(file) in told
    assert wanted in told
    assert sha256_of(file) in told
    file.unlink()
    assert "cannot be read: No such file" in damage_to(file, wanted)


def test_nobody_is_called_damaged_by_a_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = sha256_of(file)
    monkeypatch.setattr(digests, "_read_memo", lambda _: "0" * 64)
    assert sha256_of(file) == "0" * 64
    assert damage_to(file, wanted) == ""


def test_a_sealed_directory_is_looked_at_once(tmp_path: Path, reads: list[Path]) -> None:
    folder = tmp_path / "sealed"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "large").write_bytes(bytes(MIB))
    (folder / "small").write_bytes(b"s")
    seal(folder)
    for path in folder.rglob("*"):
        settle(path)
    assert damage_of(folder) == ""
    reads.clear()
    assert damage_of(folder) == ""
    assert reads == []
    assert damage_of(folder, anew=True) == ""
    assert sorted(path.name for path in reads) == ["large", "small"]


@pytest.mark.parametrize("name", ["small", "sub/large", "sealed.json"])
@pytest.mark.parametrize("how", [flip, Path.unlink, lambda path: os.truncate(path, 0)])
def test_damage_to_a_sealed_directory_names_the_file(tmp_path: Path, name: str, how: Callable[[Path], None]) -> None:
    folder = tmp_path / "sealed"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "large").write_bytes(bytes(MIB))
    (folder / "small").write_bytes(b"s")
    seal(folder)
    assert damage_of(folder) == ""
    how(folder / name)
    assert str(folder / name) in damage_of(folder)
