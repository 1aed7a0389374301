# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that lie on this disk: an image with its modules, the tree it was built in, or a package."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from lab.errors import CommandFailed, FetchFailed
from lab.host.commands import run
from lab.host.digests import sha256_of
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, temporary_folder
from lab.host.records import tell
from lab.kernels import modules
from lab.kernels.fetch import keep
from lab.kernels.vmlinux import boots_by_pvh, kernel_release
from lab.plan.design import design_of

_BZIMAGE = "arch/x86/boot/bzImage"
# What a guest cannot start without, by option, where a kernel has it as a module.
_CORE = {"VIRTIO_PCI": "virtio_pci", "VIRTIO_BLK": "virtio_blk", "VIRTIO_CONSOLE": "virtio_console"}
_CORE |= {"VIRTIO_NET": "virtio_net", "EROFS_FS": "erofs"}
_IMAGES = ("boot/vmlinuz-*", "lib/modules/*/vmlinuz", "usr/lib/modules/*/vmlinuz")
_DAMAGED = (OSError, EOFError, ValueError, struct.error, lzma.LZMAError, zstandard.ZstdError)


@dataclass(frozen=True)
class LocalKernel:
    """A kernel somebody built: bzImage or vmlinux, and its lib/modules/RELEASE (None: everything is built in).

    modules may also be the tree that it was built in.
    typed    how `lab run --kernel` is given it from any folder
    """

    name: str
    image: Path
    modules: Path | None
    release: str
    design: str
    typed: str = ""


def local(bare: str, design: str, problems: list[str]) -> LocalKernel | None:
    """The kernel that `IMAGE[:MODULES_DIR]`, `TREE` or `PACKAGE.deb` means; None, and why, when there is none."""
    image_text, _, modules_text = bare.partition(":")
    image = Path(image_text).expanduser().resolve()
    found: tuple[Path, Path | None] | None = image, None
    if modules_text:
        found = image, Path(modules_text).expanduser().resolve()
    elif image.is_dir():
        found = _tree(image, problems)
    elif image.suffix == ".deb" and image.is_file():
        found = _package(image, problems)
    if found is None:
        return None
    release, wrong = _checked(*found)
    problems += wrong
    typed = str(image) + (f":{found[1]}" if modules_text else "") + ("" if design == "stock" else f"@{design}")
    return None if wrong else LocalKernel(display(release, design), *found, release, design_of(design), typed)


def display(release: str, design: str) -> str:
    """What a kernel is called that is expected to behave like a design."""
    return release if design == "stock" else f"{release}@{design}"


def _checked(image: Path, lib: Path | None) -> tuple[str, list[str]]:
    """The release of an image, and what is wrong with it and its modules."""
    wrong = []
    release = (kernel_release(image) if image.is_file() else None) or ""
    if not image.is_file():
        wrong.append(f"kernel {image}: there is no such file.")
    elif not release:
        wrong.append(f"kernel {image}: neither a bzImage nor an x86-64 vmlinux.")
    if lib is not None and not (lib / "modules.builtin").is_file():
        wrong.append(f"modules {lib}: not a lib/modules/RELEASE directory (it has no modules.builtin).")
    return release, wrong


def _tree(tree: Path, problems: list[str]) -> tuple[Path, Path | None] | None:
    """What was built in a tree, or an object directory: vmlinux, and the modules where they lie."""
    vmlinux, bzimage = tree / "vmlinux", tree / _BZIMAGE
    image = vmlinux if vmlinux.is_file() and boots_by_pvh(vmlinux) else bzimage
    if not image.is_file():
        why = "its vmlinux was built without CONFIG_PVH, and there is no" if vmlinux.is_file() else "no vmlinux and no"
        source = f"; to build it: lab kernel build --base {tree}" if (tree / "Kconfig").is_file() else ""
        problems.append(f"kernel {tree}: {why} {_BZIMAGE} in it{source}.")
        return None
    lib = tree if (tree / "modules.builtin").is_file() else None
    there = modules.index(p.name for p in modules.files_of(tree)) if lib else {}
    missing = [name for name in _as_modules(tree / ".config") if name not in there]
    if missing:
        problems.append(f"kernel {tree}: {', '.join(missing)}: modules that were not built; make modules in it.")
        return None
    return image, lib


def _as_modules(config: Path) -> list[str]:
    """What a guest needs and a config has as a module."""
    lines = set(config.read_text(errors="replace").splitlines()) if config.is_file() else set()
    return [module for option, module in _CORE.items() if f"CONFIG_{option}=m" in lines]


def _package(deb: Path, problems: list[str]) -> tuple[Path, Path | None] | None:
    """What a kernel package holds, with those of the same kernel that lie beside it; unpacked once, into the cache."""
    try:
        debs = (deb, *_beside(deb))
        target = cache_root() / "kernels" / f"deb-{key_of(*map(sha256_of, debs))}"
        ensure_sealed(target, lambda partial: _unpack(debs, partial), progress=lambda _: None)
    except CommandFailed as exc:
        problems.append(f"kernel {deb}: dpkg-deb cannot read it: {' '.join(exc.output.split())[-200:]}.")
        return None
    except FetchFailed as exc:
        problems.append(f"kernel {deb}: {exc.message}.")
        return None
    except _DAMAGED as exc:
        problems.append(f"kernel {deb}: it is damaged: {exc}.")
        return None
    lib = target / "modules"
    if deb.name.startswith("linux-binary-") and not lib.is_dir():
        others = ", ".join(path.name for path in _places_of_rest(deb))
        problems.append(f"kernel {deb}: its modules are in other packages; put {others} beside it.")
        return None
    return target / "vmlinuz", lib if lib.is_dir() else None


def _beside(deb: Path) -> list[Path]:
    """Since Linux 6.19 a kernel of Debian comes in three: linux-binary-RELEASE, linux-modules-RELEASE, linux-base-."""
    return [path for path in _places_of_rest(deb) if path.is_file()] if deb.name.startswith("linux-binary-") else []


def _places_of_rest(deb: Path) -> list[Path]:
    return [deb.with_name(deb.name.replace("linux-binary-", f"linux-{part}-", 1)) for part in ("modules", "base")]


def _unpack(debs: Sequence[Path], target: Path) -> None:
    with temporary_folder(target) as work:
        for deb in debs:
            tell(f"unpacking {deb.name}")
            run(["dpkg-deb", "-x", str(deb), str(work)])
        images = [
            *work.glob("boot/vmlinuz-*"),
            *work.glob("lib/modules/*/vmlinuz"),
            *work.glob("usr/lib/modules/*/vmlinuz"),
        ]
        if not images:
            raise FetchFailed("it holds no vmlinuz; name the linux-image or linux-binary package")
        release = images[0].name.removeprefix("vmlinuz-") if images[0].name != "vmlinuz" else images[0].parent.name
        keep(release, work, target, {"debs": [{"file": deb.name, "sha256": sha256_of(deb)} for deb in debs]})
