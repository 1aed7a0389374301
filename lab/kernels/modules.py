# SPDX-License-Identifier: GPL-2.0-only
"""Which modules a guest needs, and in which order they load.

A kernel package has no modules.dep (depmod makes it at installation), so dependencies are read from the modules.
"""

from __future__ import annotations

import gzip
import lzma
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import zstandard

# virtio_net carries the control channel of every guest; the rest of CORE is disk, console ports and entropy.
CORE = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "virtio_rng", "erofs")
# Without these no guest comes up: its userland is an erofs on a virtio disk, and commands reach it by virtio_net.
REQUIRED = ("virtio_blk", "virtio_net", "erofs")
NICS = ("e1000e", "e1000", "vmxnet3", "igb")
# What a module asks for by the name of a crypto algorithm. The generic one loads on every CPU.
_PROVIDERS = {"crc32c": "crc32c_generic"}

_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".ko": lambda data: data,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    ".gz": gzip.decompress,
}


@dataclass(frozen=True)
class Module:
    """An uncompressed module and the names that must be loaded before it: hard ones, and those wanted if there."""

    name: str
    data: bytes
    depends: tuple[str, ...]
    wants: tuple[str, ...]


@dataclass(frozen=True)
class LoadStep:
    """One line of /modules/load: group is `core` or `nic:NAME`."""

    group: str
    module: Module


def plan_loading(find: Callable[[str], Module | None]) -> tuple[LoadStep, ...]:
    """Load order for a kernel: the core, what several NICs share, then each NIC after its own needs.

    `find` gives a module by name, None when the kernel has it built in or not at all.
    """
    core = closure(CORE, find)
    per_nic = {nic: [m for m in closure((nic,), find) if m not in core] for nic in NICS}
    counts = [m.name for modules in per_nic.values() for m in modules]
    shared = _unique(m for modules in per_nic.values() for m in modules if counts.count(m.name) > 1)
    steps = [LoadStep("core", m) for m in (*core, *shared)]
    for nic, modules in per_nic.items():
        steps += [LoadStep(f"nic:{nic}", m) for m in modules if m not in shared]
    return tuple(steps)


def closure(wanted: Iterable[str], find: Callable[[str], Module | None]) -> list[Module]:
    """The wanted modules that exist, each after everything it depends on."""
    order: dict[str, Module] = {}
    visited: set[str] = set()

    def visit(name: str) -> None:
        if name in visited:
            return
        visited.add(name)
        module = find(name)
        if module is None:
            return
        for needed in (*module.wants, *module.depends):
            visit(needed)
        order[name] = module

    for name in wanted:
        visit(name)
    return list(order.values())


def finder(modules_dir: Path) -> Callable[[str], Module | None]:
    """Modules of a lib/modules/RELEASE directory, or of a tree they were built in, by name, read when asked for."""
    files = index(str(p.relative_to(modules_dir)) for p in files_of(modules_dir))
    builtin = _builtin(modules_dir)
    read: dict[str, Module] = {}

    def find(name: str) -> Module | None:
        if name in builtin or name not in files:
            return None
        if name not in read:
            path = modules_dir / files[name]
            read[name] = parse_module(name, _DECOMPRESS[path.suffix](path.read_bytes()))
        return read[name]

    return find


def files_of(modules_dir: Path) -> list[Path]:
    """The files of modules there. Of a tree that was built, those of the last build: older ones may lie about.

    The tree's modules.order names objects (`fs/erofs/erofs.o`), before Linux 6.4 what would be installed
    (`kernel/fs/erofs/erofs.ko`); see scripts/Makefile.modinst.
    """
    order = modules_dir / "modules.order"
    if not (modules_dir / "vmlinux").is_file() or not order.is_file():
        return sorted(modules_dir.rglob("*.ko*"))
    named = (Path(line.removeprefix("kernel/")).with_suffix(".ko") for line in order.read_text().split())
    return [path for name in named if (path := modules_dir / name).is_file()]


def present(modules_dir: Path, steps: Iterable[LoadStep]) -> tuple[str, ...]:
    """Names a guest of this kernel can count on: what is loaded, and what of the wanted is built in."""
    loaded = [s.module.name for s in steps]
    builtin = _builtin(modules_dir)
    return tuple(dict.fromkeys([*loaded, *(n for n in (*CORE, *NICS) if n in builtin)]))


def built_into(vmlinux: bytes) -> tuple[str, ...]:
    """Which drivers a kernel without a modules.builtin has: the name of each (KBUILD_MODNAME) is a string in it."""
    return tuple(name for name in (*CORE, *NICS) if b"\0%s\0" % name.encode() in vmlinux)


def index(paths: Iterable[str]) -> Mapping[str, str]:
    """Module name -> path. Names use `_` where file names may use `-`."""
    return {Path(p).name.partition(".ko")[0].replace("-", "_"): p for p in paths}


def parse_module(name: str, data: bytes) -> Module:
    """Read a module's needs from its .modinfo section."""
    text = _section(data, ".modinfo").decode(errors="replace")
    info = [entry.split("=", 1) for entry in text.split("\0") if "=" in entry]
    depends = [n for key, value in info if key == "depends" for n in value.split(",") if n]
    soft = [value.partition("post:")[0].removeprefix("pre:").split() for key, value in info if key == "softdep"]
    wants = [_PROVIDERS.get(n, n) for names in soft for n in names]
    return Module(name, data, _named(depends), _named(wants))


def _builtin(modules_dir: Path) -> Mapping[str, str]:
    return index((modules_dir / "modules.builtin").read_text().split())


def _named(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(n.replace("-", "_") for n in names)


def _unique(modules: Iterable[Module]) -> list[Module]:
    return list({m.name: m for m in modules}.values())


def _section(elf: bytes, wanted: str) -> bytes:
    """Content of an ELF64 section by name; empty when the file has none of that name."""
    if elf[:5] != b"\x7fELF\x02":
        return b""
    table = struct.unpack_from("<Q", elf, 40)[0]
    entry_size, count, names_index = struct.unpack_from("<HHH", elf, 58)

    def place(i: int) -> tuple[int, int]:
        offset, size = struct.unpack_from("<QQ", elf, table + i * entry_size + 24)
        return offset, offset + size

    names = elf[slice(*place(names_index))]
    for i in range(count):
        at = struct.unpack_from("<I", elf, table + i * entry_size)[0]
        if names[at:].split(b"\0", 1)[0] == wanted.encode():
            return elf[slice(*place(i))]
    return b""
