# SPDX-License-Identifier: GPL-2.0-only
"""The ELF kernel inside a bzImage. Booted through its PVH entry it skips the guest's own unpacking.

Layout of a bzImage: Documentation/arch/x86/boot.rst, "The real-mode kernel header".
"""

from __future__ import annotations

import bz2
import lzma
import mmap
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import zstandard

_HEADER_MAGIC_AT = 0x202
_PT_NOTE = 4
_XEN_PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY, include/xen/interface/elfnote.h


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


# Payload magic -> decompressor that stops at the end of its stream: the build appends the unpacked size to most.
# lz4 and lzo have no row (no decoder for the kernel's legacy framing at hand): such a kernel boots as bzImage.
_DECOMPRESSORS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\x5d\x00\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
}


def extract_vmlinux(image: bytes) -> bytes | None:
    """The kernel's ELF when QEMU can boot it by PVH, None when only the bzImage will do."""
    elf = image if image.startswith(b"\x7fELF") else _unpacked(_payload(image))
    return elf if has_pvh_note(elf) else None


def boots_by_pvh(image: Path) -> bool:
    """As `has_pvh_note`, of a file that may be large."""
    with image.open("rb") as stream, _mapped(stream.fileno()) as data:
        return has_pvh_note(data)


def has_pvh_note(elf: bytes | mmap.mmap | memoryview) -> bool:
    """Whether a PT_NOTE segment names the 32-bit entry point that QEMU jumps to."""
    if elf[:5] != b"\x7fELF\x02" or len(elf) < 64:
        return False
    table, entry_size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    if table + entry_size * count > len(elf):
        return False
    for at in range(table, table + entry_size * count, entry_size):
        kind, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == _PT_NOTE and _names_entry(bytes(elf[offset : offset + size])):
            return True
    return False


def kernel_release(image: Path) -> str | None:
    """`uname -r` as written in a bzImage's header or an ELF's banner; None when it is no x86 kernel."""
    with image.open("rb") as stream, _mapped(stream.fileno()) as data:
        if data[:5] == b"\x7fELF\x02":
            banner = re.search(rb"Linux version (\S+) \(", data)
            return banner[1].decode() if banner else None
        if data[_HEADER_MAGIC_AT : _HEADER_MAGIC_AT + 4] != b"HdrS":
            return None
        at = struct.unpack_from("<H", data, 0x20E)[0] + 0x200
        return bytes(data[at : at + 256]).split(b"\0")[0].split(b" ")[0].decode(errors="replace")


def _mapped(fd: int) -> mmap.mmap | memoryview:
    try:
        return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return memoryview(b"")


def _payload(image: bytes) -> bytes:
    """The compressed kernel; empty when the header does not tell where it is (boot protocol before 2.08)."""
    if image[_HEADER_MAGIC_AT : _HEADER_MAGIC_AT + 4] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        return b""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return image[start : start + length]


def _unpacked(payload: bytes) -> bytes:
    """Empty when the payload is of no known kind, damaged or cut short; a plain ELF is left as it is."""
    make = next((m for magic, m in _DECOMPRESSORS.items() if payload.startswith(magic)), None)
    if make is None:
        return payload
    decompressor = make()
    try:
        data = decompressor.decompress(payload)
    except (lzma.LZMAError, zstandard.ZstdError, zlib.error, OSError):
        return b""
    return data if decompressor.eof else b""


def _names_entry(notes: bytes) -> bool:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name = notes[at + 12 : at + 12 + name_size]
        if kind == _XEN_PHYS32_ENTRY and name == b"Xen\0":
            return True
        at += 12 + _aligned(name_size) + _aligned(size)
    return False


def _aligned(size: int) -> int:
    return (size + 3) & ~3
