# SPDX-License-Identifier: GPL-2.0-only
"""From the package list to what QEMU boots, with the real apt and dpkg on a repository of our own."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import stamina

from lab.cli.checks import check_kernels
from lab.cli.setup import newest_of_each_line
from lab.errors import FetchFailed
from lab.kernels.bootable import make_bootable
from lab.kernels.catalogue import catalogue, resolve
from tests.unit.damaged import flip
from tests.unit.kernels.binaries import bzimage, vmlinux, xz_with_size
from tests.unit.kernels.repository import RELEASE, apt_config, kernel_package
from tests.unit.kernels.test_cpio import read_back


def quiet(_: str) -> None:
    pass


@pytest.fixture
def deb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "lab-cache"))
    made = kernel_package(tmp_path)
    monkeypatch.setenv("APT_CONFIG", str(apt_config(tmp_path, made)))
    return made


@pytest.fixture
def init(tmp_path: Path) -> Path:
    path = tmp_path / "lab-init"
    path.write_bytes(b"INIT")
    return path


def leftovers(root: Path) -> list[str]:
    """Directories that look unfinished, and every file of a kernel that was never made."""
    return [str(p) for p in root.rglob("*") if ".partial" in p.name or p.suffix == ".deb"]


def test_a_package_becomes_bootable_and_is_then_only_looked_up(deb: Path, init: Path, tmp_path: Path) -> None:
    (offered,) = catalogue()
    assert (offered.name, offered.line, offered.fetched) == (RELEASE, "6.99", False)
    said: list[str] = []
    kernel = make_bootable(offered, init=init, progress=said.append)
    assert kernel.boot.read_bytes() == vmlinux(release=RELEASE)
    assert kernel.sha256 == hashlib.sha256(vmlinux(release=RELEASE)).hexdigest()
    assert kernel.config_sha256 == hashlib.sha256(b"CONFIG_X86_64=y\n").hexdigest()
    assert kernel.modules == ("libcrc32c", "erofs", "e1000e", "virtio_pci")
    files = read_back(kernel.initrd.read_bytes())
    assert files["modules/load"][1] == b"core 00-libcrc32c.ko\ncore 01-erofs.ko\nnic:e1000e 02-e1000e.ko\n"
    assert said
    assert leftovers(tmp_path / "lab-cache") == []

    said.clear()
    started = time.monotonic()
    (again,) = resolve(["newest"])
    assert make_bootable(again, init=init, progress=said.append) == kernel
    assert (said, catalogue()[0].fetched) == ([], True)
    assert time.monotonic() - started < 2


@pytest.mark.usefixtures("deb")
def test_what_was_fetched_boots_without_any_list_of_packages(init: Path, tmp_path: Path) -> None:
    (offered,) = catalogue()
    made = make_bootable(offered, init=init, progress=quiet)
    (tmp_path / "lab-cache" / "kernels" / "built-0123").mkdir(parents=True)
    for path in (tmp_path / "state" / "lists").glob("*Packages*"):
        path.unlink()
    (kept,) = catalogue()
    assert (kept.name, kept.line, kept.flavour) == (offered.name, offered.line, offered.flavour)
    assert (kept.fetched, kept.offered, offered.offered) == (True, False, True)
    for name in ("newest", "6.99", RELEASE):
        again = make_bootable(*resolve([name]), init=init, progress=quiet)
        assert (again.boot, again.initrd_sha256) == (made.boot, made.initrd_sha256)
    assert check_kernels().status == "warn"
    assert RELEASE in check_kernels().seen
    assert newest_of_each_line(catalogue()) == (kept,)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *(("boot", name) for name in ("boot", "config", "kernel.json", "modules/erofs.ko", "sealed.json")),
        *(("initrd", name) for name in ("initrd", "modules.json", "sealed.json")),
    ],
)
def test_what_is_damaged_is_named_and_made_again_and_the_same(
    deb: Path, init: Path, part: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (offered,) = catalogue()
    kernel = make_bootable(offered, init=init, progress=quiet)
    damaged = getattr(kernel, part).parent / name
    flip(damaged)
    assert make_bootable(offered, init=init, progress=quiet) == kernel
    assert str(damaged) in capsys.readouterr().err
    assert hashlib.sha256(kernel.boot.read_bytes()).hexdigest() == kernel.sha256
    assert hashlib.sha256(kernel.initrd.read_bytes()).hexdigest() == kernel.initrd_sha256


def test_another_init_makes_another_initrd(deb: Path, init: Path) -> None:
    (offered,) = catalogue()
    first = make_bootable(offered, init=init, progress=quiet)
    init.write_bytes(b"ANOTHER")
    second = make_bootable(offered, init=init, progress=quiet)
    assert second.initrd != first.initrd
    assert second.boot == first.boot


def test_a_package_other_than_listed_is_refused(deb: Path, init: Path, tmp_path: Path) -> None:
    (offered,) = catalogue()
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    with stamina.set_testing(True, attempts=1), pytest.raises(FetchFailed, match="apt-get update"):
        make_bootable(offered, init=init, progress=quiet)
    assert leftovers(tmp_path / "lab-cache") == []


def test_a_package_that_is_gone_is_told_with_a_hint(deb: Path, init: Path, tmp_path: Path) -> None:
    (offered,) = catalogue()
    deb.unlink()
    with stamina.set_testing(True, attempts=2), pytest.raises(FetchFailed, match="cannot fetch linux-image") as caught:
        make_bootable(offered, init=init, progress=quiet)
    assert caught.value.hint
    assert leftovers(tmp_path / "lab-cache") == []


def test_a_kernel_of_ones_own_without_modules(init: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "lab-cache"))
    image = tmp_path / "arch" / "x86" / "boot" / "bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(bzimage(xz_with_size(vmlinux())))
    (tmp_path / ".config").write_text("CONFIG_PVH=y\n")
    (own,) = resolve([f"{image}@pool-return"])
    kernel = make_bootable(own, init=init, progress=quiet)
    assert (kernel.name, kernel.design, kernel.release) == ("6.99.1-test@pool-return", "pool-return", "6.99.1-test")
    assert kernel.boot.read_bytes() == vmlinux()
    assert kernel.modules == ()
    assert kernel.config_sha256 == hashlib.sha256(b"CONFIG_PVH=y\n").hexdigest()
