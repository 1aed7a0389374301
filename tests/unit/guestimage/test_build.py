# SPDX-License-Identifier: GPL-2.0-only
"""The image from a base of three files: everything after the download, with the real tar and mkfs.erofs."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.guestimage import current_image, ensure_image, ensure_init
from lab.guestimage.__main__ import main
from lab.guestimage.base import base_dir
from lab.guestimage.build import _files, the_recipe
from lab.host.digests import seal
from tests.unit.damaged import flip

needs_erofs = pytest.mark.skipif(shutil.which("mkfs.erofs") is None, reason="this host has no mkfs.erofs")


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest programs, compiled once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return ensure_init(quiet).parent


@pytest.fixture
def base(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    shutil.copytree(programs, tmp_path / "cache" / "programs" / programs.name)
    made = base_dir(the_recipe())
    made.mkdir(parents=True)
    with tarfile.open(made / "root.tar", "w") as archive:
        for name, data in (("./etc/passwd", b"old"), ("./etc/services", b"ssh 22/tcp\n"), ("./usr/share/perl5/x", b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        device = tarfile.TarInfo("./dev/console")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    (made / "packages.txt").write_text("python3 3.11\n")
    seal(made)
    return made


@needs_erofs
def test_the_image_is_made_once_and_found_again(base: Path, tmp_path: Path) -> None:
    assert current_image() is None
    said: list[str] = []
    image = ensure_image(said.append)
    assert said
    assert image.path.read_bytes()[1024:1028] == b"\xe2\xe1\xf5\xe0"  # the superblock's magic
    said.clear()
    assert ensure_image(said.append) == image == current_image()
    assert said == []
    assert sorted(p.name for p in image.path.parent.iterdir()) == ["packages.txt", "sealed.json", "userland.erofs"]


@needs_erofs
@pytest.mark.parametrize("name", ["userland.erofs", "sealed.json"])
def test_a_damaged_image_is_named_and_made_again(base: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    image = ensure_image(quiet)
    whole = image.path.read_bytes()
    flip(image.path.parent / name)
    assert current_image() is None
    assert ensure_image(quiet) == image == current_image()
    assert str(image.path.parent / name) in capsys.readouterr().err
    assert image.path.read_bytes() == whole


@needs_erofs
def test_the_image_holds_what_a_guest_needs(base: Path, tmp_path: Path) -> None:
    image = ensure_image(quiet)
    listing = tmp_path / "tree"
    subprocess.run(["fsck.erofs", f"--extract={listing}", str(image.path)], check=True, capture_output=True)
    shell = (listing / "etc/passwd").read_text().splitlines()[0].split(":")[-1]
    assert shell in (listing / "etc/shells").read_text().splitlines()  # dropbear lets nobody in with another one
    assert (listing / "etc/services").read_text() == "ssh 22/tcp\n"
    assert (listing / "etc/dropbear/dropbear_ed25519_host_key").readlink() == Path("/run/hostkey")
    assert not (listing / "usr/share/perl5").exists()
    assert not (listing / "dev/console").exists()
    assert {p.name for p in (listing / "usr/lib/lab").iterdir()} == {"lab-init", "lab-telemetry", "lab-press"}
    assert list((listing / "usr/lib/layer").iterdir()) == []  # where what an experiment brings is mounted
    assert (listing / "root/.ssh/authorized_keys").readlink() == Path("/run/authorized_keys")  # no key is in the image
    folder = listing / "root" / ".ssh"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert folder.stat().st_uid == 0


@needs_erofs
def test_the_same_input_gives_the_same_bytes(base: Path) -> None:
    first = ensure_image(quiet)
    shutil.rmtree(first.path.parent)
    assert ensure_image(quiet) == first


def test_init_is_static_and_made_once(base: Path) -> None:
    said: list[str] = []
    assert b"/lib64/ld-linux" not in ensure_init(said.append).read_bytes()
    assert said == []


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imagge"]) == 2
    assert "choose one of base, programs, layers, image" in capsys.readouterr().err


def test_files_count_by_content_and_links_by_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    before, between = _files(tmp_path, {"link": "/nowhere/a"}), _files(tmp_path, {"link": "/nowhere/b"})
    (tmp_path / "file").write_bytes(b"b")
    assert len({tuple(files) for files in (before, between, _files(tmp_path, {"link": "/nowhere/b"}))}) == 3
