# SPDX-License-Identifier: GPL-2.0-only
"""What lies in a bundle's folder: only regular files inside it are read, and none further than its bound."""

from __future__ import annotations

import hashlib
import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from lab.collect.bundle import MANIFEST, BundleWriter, write_whole
from lab.collect.stored import DERIVED, Stored, read_bundle
from lab.errors import BadInput
from lab.evidence import bounds
from lab.evidence.bundle import parse, read_manifest
from lab.evidence.manifest import FORMAT
from lab.verdict.model import Word
from tests.known import judge
from tests.unit.verdict.builder import story


def bundle(folder: Path) -> Path:
    """A whole one, as the lab writes it."""
    told = story("hold")
    writer = BundleWriter(folder / "b")
    for name, data in told.files().items():
        if name != MANIFEST:
            writer.add(name, data)
    writer.finish(told.manifest)
    return writer.root


def word(root: Path) -> Word:
    return judge(parse(read_bundle(root))).word


def test_a_bundle_on_disk_is_judged_as_in_memory(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    evidence = parse(read_bundle(root))
    assert (evidence.problems, evidence.manifest.format) == ((), FORMAT)
    assert judge(evidence).word is Word.PASS


def plant(kind: str, path: Path, outside: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "folder":
        path.symlink_to(outside.parent)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "socket"])
@pytest.mark.parametrize("place", ["stray", "more/stray", "receiver/console.log", "clients/abuser.jsonl"])
def test_what_is_no_file_is_neither_followed_nor_opened_and_is_an_error(tmp_path: Path, kind: str, place: str) -> None:
    root, outside = bundle(tmp_path), tmp_path / "outside" / "secret"
    outside.parent.mkdir()
    data = (root / place).read_bytes() if (root / place).exists() else b"secret"
    outside.write_bytes(data)
    if (root / place).exists():
        (root / place).unlink()
    plant(kind, root / place, outside)
    found = read_bundle(root)
    evidence = parse(found)
    assert place not in found
    assert [p for p in evidence.problems if p.startswith(f"{place}: ")] == [
        f"{place}: {'a symbolic link: what it points at is not read' if kind in ('link', 'folder') else NO_FILE}"
    ]
    assert judge(evidence).word in (Word.ERROR, Word.MISS)
    if place != "clients/abuser.jsonl":  # without a word of the client the lab is at fault
        assert judge(evidence).word is Word.ERROR


NO_FILE = "no regular file: it is not opened"


def test_a_folder_of_links_is_not_walked_through(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    moved = tmp_path / "receiver"
    (root / "receiver").rename(moved)
    (root / "receiver").symlink_to(moved)
    found = read_bundle(root)
    assert "receiver/console.log" not in found
    with pytest.raises(KeyError):
        found["receiver/console.log"]
    assert word(root) is Word.ERROR


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_manifest_that_is_no_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    root = bundle(tmp_path)
    (root / MANIFEST).rename(tmp_path / "real")
    plant(kind, root / MANIFEST, tmp_path / "real")
    with pytest.raises(BadInput, match=r"manifest\.json: (a symbolic link|no regular file)"):
        read_manifest(read_bundle(root))


@pytest.mark.parametrize("path", ["../b/manifest.json", "./manifest.json", "/etc/hostname", "", "receiver/..", "a\0b"])
def test_a_path_cannot_lead_out(tmp_path: Path, path: str) -> None:
    assert path not in read_bundle(bundle(tmp_path))


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def test_a_stray_file_is_not_read_however_large(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    sparse(root / "stray", 8 * 2**30)
    (root / "secret").write_bytes(b"")
    (root / "secret").chmod(0)
    tracemalloc.start()
    try:
        assert word(root) is Word.PASS
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_the_manifest_lists_is_hashed_as_it_is_read(tmp_path: Path) -> None:
    root = tmp_path / "b"
    size = 80 * 2**20
    writer = BundleWriter(root)
    sparse(writer.path("receiver/console.log"), size)
    tracemalloc.start()
    try:
        manifest = writer.finish(story("hold").manifest)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert manifest.files["receiver/console.log"].size == size
    found = read_bundle(root)
    assert found.record("receiver/console.log") == manifest.files["receiver/console.log"]
    assert len(found["receiver/console.log"]) == bounds.CONSOLE
    assert found.record("receiver/console.log").sha256 == hashlib.sha256(bytes(size)).hexdigest()


def test_a_bundle_larger_than_all_that_is_read_is_an_error_that_names_the_bound(tmp_path: Path) -> None:
    told, root = story("hold"), bundle(tmp_path)
    sparse(root / "huge", 8 * 2**30)
    made = parse(read_bundle(root)).manifest
    files = {**made.files, "huge": made.files["sender/console.log"].model_copy(update={"size": 8 * 2**30})}
    BundleWriter(root)._write(made.model_copy(update={"files": files}))
    evidence = parse(read_bundle(root))
    assert evidence.problems == (f"huge: {8 * 2**30} bytes, not read: a bundle may hold no more than 1024 MiB in all",)
    assert judge(evidence).word is Word.ERROR
    assert told.manifest["case"] == made.case


def test_the_budget_is_for_all_files_together(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 40)
    found = Stored(tmp_path, budget=100)
    hashes = [found.record(name).sha256 for name in "abcab"]
    good = hashlib.sha256(b"x" * 40).hexdigest()
    assert hashes == [good, good, "0" * 64, good, good]
    assert [problem.partition(":")[0] for problem in found.problems] == ["c"]
    assert found["c"] == b"x" * 40
    assert found.record("c").sha256 == "0" * 64


def test_files_and_folders_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = bundle(tmp_path)
    deep = root.joinpath(*"abcdefghij")
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"")
    assert [p for p in parse(read_bundle(root)).problems if "8 folders" in p]
    monkeypatch.setattr(bounds, "FILES", 4)
    evidence = parse(read_bundle(root))
    assert [p for p in evidence.problems if "more than 4 files" in p]
    assert len(evidence.problems) == 1 + sum("8 folders" in p for p in evidence.problems)
    assert judge(evidence).word is Word.ERROR


def test_neither_derived_nor_hidden_files_are_evidence(tmp_path: Path) -> None:
    for name in (*DERIVED, ".hidden", "kept"):
        (tmp_path / name).write_bytes(b"x")
    found = read_bundle(tmp_path)
    assert [name for name in (*DERIVED, ".hidden", "kept") if name in found] == ["kept"]
    assert list(found) == ["kept"]


def test_files_that_go_while_they_are_read_are_absent(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    found = read_bundle(root)
    (root / "receiver/console.log").unlink()
    assert "receiver/console.log: absent" in parse(found).problems


@pytest.mark.parametrize("umask", [0, 0o22, 0o77])
@pytest.mark.parametrize(
    ("chosen", "file", "folder"), [("", 0o600, 0o700), ("644", 0o644, 0o755), ("640", 0o640, 0o750)]
)
def test_a_bundle_is_its_owners_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, chosen: str, file: int, folder: int
) -> None:
    monkeypatch.setenv("LAB_BUNDLE_MODE", chosen)
    before = os.umask(umask)
    try:
        writer = BundleWriter(tmp_path / "session" / "run")
        writer.add("receiver/console.log", b"")
        (writer.root / "clients").mkdir()
        (writer.root / "clients/a.jsonl").write_bytes(b"written by somebody else")
        writer.append(writer.finish(story("hold").manifest), "timing.json", b"{}")
    finally:
        os.umask(before)
    modes = {p: p.stat().st_mode & 0o777 for p in (writer.root, *writer.root.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {folder}
    assert {mode for path, mode in modes.items() if path.is_file()} == {file}
    assert len(modes) == 7


@pytest.mark.parametrize("chosen", ["rw", "999", "400", "777", "-600"])
def test_permissions_that_make_no_sense_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("LAB_BUNDLE_MODE", chosen)
    with pytest.raises(BadInput, match="LAB_BUNDLE_MODE"):
        BundleWriter(tmp_path / "b").add("a", b"")


def test_a_file_takes_the_place_of_a_link_and_leaves_what_that_pointed_at(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "verdict.json"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    write_whole(link, b"new")
    assert (victim.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"precious", b"new", False)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["verdict.json", "victim"]
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))


def test_a_file_more_keeps_the_digest_right(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    writer = BundleWriter(root)
    writer.append(read_manifest(read_bundle(root)), "timing.json", b'{"seconds":1,"spans":[]}')
    evidence = parse(read_bundle(root))
    assert evidence.timing is not None
    assert judge(evidence).word is Word.PASS
    assert not list(root.glob(".*"))
