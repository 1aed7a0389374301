# SPDX-License-Identifier: GPL-2.0-only
"""Captures that grow while they are read, and what a run takes of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.collect.bundle import BundleWriter, read_bundle
from lab.collect.captures import copy, from_here, from_power_on
from lab.collect.stream import CHUNK, TAIL, Mark, copy_bytes, copy_lines, last_lines, mark, since, size


def grow(path: Path, data: bytes) -> None:
    with path.open("ab") as f:
        f.write(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "capture"


def test_before_the_first_byte_there_is_nothing(path: Path) -> None:
    start = mark(path)
    assert (start.offset, since(start), size(path), last_lines(path, 3)) == (0, b"", 0, [])
    grow(path, b"one\n")
    assert since(start) == b"one\n"


def test_only_what_came_since_the_mark_is_given(path: Path) -> None:
    grow(path, b"old\n")
    start = mark(path)
    assert since(start) == b""
    grow(path, b"new\nhal")
    assert since(start) == b"new\n"
    grow(path, b"f\n")
    assert since(start) == b"new\nhalf\n"
    assert size(path) == 13


def test_a_line_that_was_half_written_at_the_mark_belongs_to_what_follows(path: Path) -> None:
    grow(path, b"old\nhal")
    start = mark(path)
    grow(path, b"f\n")
    assert since(start) == b"half\n"


def test_the_last_lines_are_whole(path: Path) -> None:
    grow(path, b"a\nb\nc\nhal")
    assert last_lines(path, 2) == [b"b", b"c"]
    assert last_lines(path, 9) == [b"a", b"b", b"c"]


def test_only_the_end_of_a_long_capture_is_searched(path: Path) -> None:
    grow(path, b"x" * 100 + b"\n" + b"y" * TAIL + b"\nlast\n")
    assert last_lines(path, 1) == [b"last"]


def test_the_end_of_the_last_line_is_found_however_far_back(path: Path) -> None:
    grow(path, b"old\n" + b"x" * (3 * TAIL))
    assert mark(path).offset == 4
    grow(path, b"\nhal")
    assert mark(path).offset == 4 + 3 * TAIL + 1


def test_a_large_capture_is_copied_in_pieces(path: Path, tmp_path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 * CHUNK)
        file.seek(0, 2)
        file.write(b"\nlast\nhal")
    tracemalloc.start()
    copy_lines(Mark(path, 1), tmp_path / "lines")
    copy_bytes(path, 0, size(path), tmp_path / "all")
    assert tracemalloc.get_traced_memory()[1] < 4 * CHUNK
    tracemalloc.stop()
    assert size(tmp_path / "lines") == 64 * CHUNK - 1 + len(b"\nlast\n")
    assert size(tmp_path / "all") == size(path)


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 6))
def test_before_and_since_a_mark_make_the_whole(chunks: list[bytes], at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "c"
        for chunk in chunks[:at]:
            grow(path, chunk)
        start = mark(path)
        for chunk in chunks[at:]:
            grow(path, chunk)
        data = b"".join(chunks)
        assert data[: start.offset] + since(start) == data[: data.rfind(b"\n") + 1]


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """Of a pair that has served a run; the sender has not said much."""
    for role in ("receiver", "sender"):
        folder = tmp_path / "pair" / role
        folder.mkdir(parents=True)
        (folder / "domain.xml").write_text(f"<{role}/>")
        grow(folder / "console.log", b"boot\n")
        grow(folder / "telemetry.jsonl", b"{1}\n")
    preflight = tmp_path / "pair" / "preflight" / "client"
    preflight.mkdir(parents=True)
    (preflight / "preflight.jsonl").write_bytes(b"p\n")
    return tmp_path / "pair"


def test_the_first_run_of_a_pair_shows_its_boot_and_a_later_one_keeps_it_apart(captures: Path, tmp_path: Path) -> None:
    first, later = from_here(captures, first=True), from_here(captures, first=False)
    for name in ("console.log", "telemetry.jsonl"):
        grow(captures / "receiver" / name, b"traffic\n")
    one, two = BundleWriter(tmp_path / "1"), BundleWriter(tmp_path / "2")
    copy(captures, first, one)
    copy(captures, later, two)
    shown, kept = read_bundle(one.root), read_bundle(two.root)
    assert shown["receiver/console.log"] == b"boot\ntraffic\n"
    assert "receiver/before.log" not in shown
    assert kept["receiver/console.log"] == b"traffic\n"
    assert kept["receiver/before.log"] == b"boot\n"
    assert shown["receiver/telemetry.jsonl"] == kept["receiver/telemetry.jsonl"] == b"traffic\n"
    assert shown["preflight/client.jsonl"] == b"p\n"
    assert shown["sender/domain.xml"] == b"<sender/>"


def test_of_a_pair_that_never_was_everything_is_kept(captures: Path, tmp_path: Path) -> None:
    (captures / "sender" / "console.log").unlink()
    bundle = BundleWriter(tmp_path / "b")
    copy(captures, from_power_on(captures), bundle)
    files = read_bundle(bundle.root)
    assert files["receiver/telemetry.jsonl"] == b"{1}\n"
    assert "sender/console.log" not in files
