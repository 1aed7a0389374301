# SPDX-License-Identifier: GPL-2.0-only
"""Kernels by a path: a tree that was built, and packages."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.base import find_base
from lab.kernels.bootable import make_bootable
from lab.kernels.catalogue import LocalKernel, resolve
from tests.unit.kernels.binaries import bzimage, module, vmlinux
from tests.unit.kernels.repository import RELEASE, SPLIT, kernel_package, split_packages


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "lab-cache"))


@pytest.fixture
def init(tmp_path: Path) -> Path:
    path = tmp_path / "lab-init"
    path.write_bytes(b"INIT")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As `make` leaves it, with a module of an earlier config in it."""
    root = tmp_path / "linux"
    for path, data in {
        "vmlinux": vmlinux(),
        ".config": b"CONFIG_MODULES=y\nCONFIG_EROFS_FS=m\nCONFIG_VIRTIO_NET=y\n",
        "modules.builtin": b"kernel/drivers/net/virtio_net.ko\n",
        "modules.order": b"fs/erofs/erofs.o\n",
        "fs/erofs/erofs.ko": module("erofs"),
        "drivers/net/ethernet/intel/e1000e/e1000e.ko": module("e1000e"),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def only(name: object) -> LocalKernel:
    (kernel,) = resolve([str(name)])
    assert isinstance(kernel, LocalKernel)
    return kernel


def problem(name: object) -> str:
    with pytest.raises(BadInput) as caught:
        resolve([str(name)])
    (told,) = caught.value.problems
    return told


def test_a_tree_gives_its_vmlinux_and_the_modules_of_its_last_build(tree: Path, init: Path) -> None:
    kernel = make_bootable(only(f"{tree}@put-hook"), init=init, progress=lambda _: None)
    assert (kernel.name, kernel.release, kernel.design) == ("6.99.1-test@put-hook", "6.99.1-test", "put-hook")
    assert kernel.boot.read_bytes() == vmlinux()
    assert kernel.modules == ("erofs", "virtio_net")
    assert kernel.config_sha256 == hashlib.sha256((tree / ".config").read_bytes()).hexdigest()


def test_before_linux_6_4_modules_are_listed_as_they_would_be_installed(tree: Path, init: Path) -> None:
    (tree / "modules.order").write_text("kernel/fs/erofs/erofs.ko\n")
    assert make_bootable(only(tree), init=init, progress=lambda _: None).modules == ("erofs", "virtio_net")


def test_a_module_that_was_built_again_makes_another_initrd(tree: Path, init: Path) -> None:
    first = make_bootable(only(tree), init=init, progress=lambda _: None)
    (tree / "fs/erofs/erofs.ko").write_bytes(module("erofs", softdep="pre: other"))
    assert make_bootable(only(tree), init=init, progress=lambda _: None).initrd != first.initrd


def test_a_tree_that_boots_by_its_bzimage_only(tree: Path) -> None:
    (tree / "vmlinux").write_bytes(vmlinux(note_kind=7))
    assert "built without CONFIG_PVH, and there is no arch/x86/boot/bzImage" in problem(tree)
    image = tree / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(bzimage(b""))
    assert only(tree).image == image


def test_a_tree_whose_modules_were_never_made(tree: Path) -> None:
    (tree / "fs/erofs/erofs.ko").unlink()
    assert "erofs: modules that were not built" in problem(tree)
    (tree / "modules.builtin").unlink()
    assert "erofs: modules that were not built" in problem(tree)


def test_a_tree_that_was_never_built_says_how_to_build_it(tree: Path) -> None:
    (tree / "vmlinux").unlink()
    assert "no vmlinux and no arch/x86/boot/bzImage in it." in problem(tree)
    (tree / "Kconfig").touch()
    assert f"lab kernel build --base {tree}" in problem(tree)


def test_a_package_is_a_kernel(tmp_path: Path, init: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb = kernel_package(tmp_path)
    kernel = make_bootable(only(deb), init=init, progress=lambda _: None)
    assert (kernel.release, kernel.boot.read_bytes()) == (RELEASE, vmlinux(release=RELEASE))
    assert kernel.modules == ("libcrc32c", "erofs", "e1000e", "virtio_pci")
    assert kernel.config_sha256 == hashlib.sha256(b"CONFIG_X86_64=y\n").hexdigest()
    monkeypatch.chdir(deb.parent)
    assert only(deb.name) == only(deb)


def test_packages_of_one_kernel_are_taken_from_where_the_first_lies(tmp_path: Path, init: Path) -> None:
    pool = split_packages(tmp_path / "pool")
    (deb,) = pool.glob("linux-binary-*.deb")
    assert make_bootable(only(deb), init=init, progress=lambda _: None).modules == ("libcrc32c", "erofs", "virtio_pci")
    for part in ("modules", "base"):
        (rest,) = pool.glob(f"linux-{part}-*.deb")
        assert "it holds no vmlinuz" in problem(rest)
    rest.unlink()
    assert f"linux-base-{SPLIT}" in problem(deb)


@pytest.mark.parametrize("kept", [0, 10, 100, -1])
def test_a_package_that_is_damaged_is_told_and_leaves_nothing(tmp_path: Path, kept: int) -> None:
    deb = kernel_package(tmp_path)
    deb.write_bytes(b"no package" if kept == 10 else deb.read_bytes()[:kept] if kept >= 0 else deb.read_bytes()[:-9000])
    assert str(deb) in problem(deb)
    assert not list((tmp_path / "lab-cache" / "kernels").glob("*.partial"))
    assert not [d for d in (tmp_path / "lab-cache" / "kernels").iterdir() if d.is_dir()]


def test_a_git_tree_is_a_base_at_its_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def git(*words: str) -> str:
        by = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *by, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "-q", ".")
    (tmp_path / "Makefile").write_text("1\n")
    git("add", "Makefile")
    git("commit", "-qm", "one")
    base = find_base(str(tmp_path))
    assert (base.kind, base.revision) == ("git", git("rev-parse", "HEAD").strip())
    assert base.key == find_base(f"{tmp_path}#HEAD").key
    assert capsys.readouterr().err == ""
    (tmp_path / "Makefile").write_text("2\n")
    assert find_base(str(tmp_path)).revision == base.revision
    assert "not committed are left out" in capsys.readouterr().err
