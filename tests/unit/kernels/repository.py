# SPDX-License-Identifier: GPL-2.0-only
"""A package repository in a directory, with a kernel package in it, for the real apt."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unit.kernels.binaries import bzimage, module, vmlinux, xz_with_size

RELEASE = "6.99.1-test-amd64"
PACKAGE = f"linux-image-{RELEASE}"


def kernel_package(work: Path) -> Path:
    """A .deb as Debian builds it, with one module of each kind."""
    root = work / "package"
    lib = root / "lib" / "modules" / RELEASE
    for directory in (root / "DEBIAN", root / "boot", lib / "kernel"):
        directory.mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {PACKAGE}\nVersion: 6.99.1-1\nArchitecture: amd64\nMaintainer: nobody <a@b>\n"
        "Description: a kernel\nInstalled-Size: 1\n"
    )
    (root / "boot" / f"vmlinuz-{RELEASE}").write_bytes(bzimage(xz_with_size(vmlinux(release=RELEASE)), release=RELEASE))
    (root / "boot" / f"config-{RELEASE}").write_text("CONFIG_X86_64=y\n")
    for made in (module("erofs", depends=["libcrc32c"]), module("libcrc32c"), module("e1000e"), module("sound")):
        name = made.partition(b"\0name=")[2].partition(b"\0")[0].decode()
        (lib / "kernel" / f"{name}.ko").write_bytes(made)
    (lib / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    deb = work / "repository" / "kernel.deb"
    deb.parent.mkdir()
    subprocess.run(["dpkg-deb", "-Znone", "-b", str(root), str(deb)], check=True, capture_output=True)
    return deb


SPLIT = "6.98.4+test-amd64"


def split_packages(
    folder: Path, *, version: str = "6.98.4-1", parts: Sequence[str] = ("binary", "modules", "base")
) -> Path:
    """A directory with a kernel in three packages, as Debian has them since Linux 6.19, and a list of them."""
    lib = Path("usr/lib/modules") / SPLIT
    files = {
        "binary": {lib / "vmlinuz": bzimage(xz_with_size(vmlinux(release=SPLIT)), release=SPLIT)},
        "modules": {
            lib / "kernel" / "erofs.ko": module("erofs", depends=["libcrc32c"]),
            lib / "kernel" / "libcrc32c.ko": module("libcrc32c"),
        },
        "base": {
            lib / "config": b"CONFIG_X86_64=y\n",
            lib / "modules.builtin": b"kernel/drivers/virtio/virtio_pci.ko\n",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    stanzas = [
        stanza(f"linux-image-{SPLIT}", version, b"", "nothing.deb", f"Depends: linux-binary-{SPLIT} (= {version})\n")
    ]
    for part in parts:
        package = f"linux-{part}-{SPLIT}"
        deb = folder / f"{package}_{version}_amd64.deb"
        _packed(package, version, files[part], deb)
        stanzas.append(stanza(package, version, deb.read_bytes(), deb.name))
    (folder / "Packages").write_text("\n".join(stanzas))
    return folder


def stanza(package: str, version: str, data: bytes, name: str, more: str = "") -> str:
    """What a list says of a file that lies beside it."""
    digest = hashlib.sha256(data).hexdigest()
    return (
        f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nInstalled-Size: 1\nMaintainer: nobody <a@b>\n"
        f"{more}Filename: ./{name}\nSize: {len(data)}\nSHA256: {digest}\nDescription: a kernel\n"
    )


def _packed(package: str, version: str, files: Mapping[Path, bytes], deb: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        control = (
            f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody <a@b>\nDescription: x\n"
        )
        for path, data in {Path("DEBIAN/control"): control.encode(), **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        subprocess.run(["dpkg-deb", "-Znone", "-b", str(root), str(deb)], check=True, capture_output=True)


def apt_config(work: Path, deb: Path, *, sha256: str = "") -> Path:
    """Configuration of an apt that knows this repository alone; its lists are fresh."""
    digest = sha256 or hashlib.sha256(deb.read_bytes()).hexdigest()
    (deb.parent / "Packages").write_text(
        f"Package: {PACKAGE}\nVersion: 6.99.1-1\nArchitecture: amd64\nInstalled-Size: 1\nMaintainer: nobody <a@b>\n"
        f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\nDescription: a kernel\n\n"
    )
    for directory in ("state/lists/partial", "cache/archives/partial", "etc"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()
    (work / "etc" / "sources.list").write_text(f"deb [trusted=yes] file:{deb.parent} ./\n")
    config = work / "apt.conf"
    config.write_text(
        f'Dir::State "{work}/state"; Dir::State::status "{work}/status"; Dir::Cache "{work}/cache";\n'
        f'Dir::Etc::sourcelist "{work}/etc/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
        'Dir::Etc::preferencesparts "/dev/null"; APT::Architecture "amd64"; APT::Architectures "amd64";\n'
        'APT::Update::Post-Invoke-Success ""; APT::Sandbox::User "";\n'
    )
    subprocess.run(
        ["apt-get", "-q", "update"],
        check=True,
        capture_output=True,
        env={"APT_CONFIG": str(config), "PATH": "/usr/bin:/bin"},
    )
    return config
