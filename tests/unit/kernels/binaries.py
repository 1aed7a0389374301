# SPDX-License-Identifier: GPL-2.0-only
"""Small real binaries: modules, a kernel with a PVH note, a bzImage around it, a kernel package."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Sequence


def module(name: str, *, depends: Sequence[str] = (), softdep: str = "") -> bytes:
    """An ELF64 file with nothing but a .modinfo section."""
    info = (
        f"license=GPL\0depends={','.join(depends)}\0" + (f"softdep={softdep}\0" if softdep else "") + f"name={name}\0"
    )
    names = b"\0.modinfo\0.shstrtab\0"
    data = info.encode()
    at_data, at_names = 64, 64 + len(data)
    table = at_names + len(names)
    sections = [(0, 0, 0), (1, at_data, len(data)), (10, at_names, len(names))]
    header = b"\x7fELF\x02\x01\x01".ljust(40, b"\0") + struct.pack(
        "<QIHHHHHH", table, 0, 64, 0, 0, 64, len(sections), 2
    )
    rows = b"".join(struct.pack("<IIQQQQIIQQ", n, 1, 0, 0, at, size, 0, 0, 1, 0) for n, at, size in sections)
    return header + data + names + rows


def vmlinux(*, note_kind: int = 18, release: str = "6.99.1-test") -> bytes:
    """An ELF64 file with one PT_NOTE segment of owner Xen, and a kernel's banner."""
    notes = struct.pack("<III", 4, 5, 1) + b"GNU\0" + b"12345\0\0\0"
    notes += struct.pack("<III", 4, 8, note_kind) + b"Xen\0" + struct.pack("<Q", 0x1000000)
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(notes), len(notes), 4)
    return header + segment + notes + f"Linux version {release} (a@b)\0".encode()


def bzimage(payload: bytes, *, protocol: int = 0x20F, release: str = "6.99.1-test") -> bytes:
    """Setup header as in Documentation/arch/x86/boot.rst, then the payload at an offset of 100."""
    sectors = 3
    setup = bytearray((sectors + 1) * 512)
    setup[0x1F1] = sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<H", setup, 0x20E, 0x400)
    struct.pack_into("<II", setup, 0x248, 100, len(payload))
    version = f"{release} (a@b) #1\0".encode()
    setup[0x600 : 0x600 + len(version)] = version
    return bytes(setup) + bytes(100) + payload + b"signature"


def xz_with_size(data: bytes) -> bytes:
    """As the kernel's build leaves it: the unpacked size follows the stream."""
    return lzma.compress(data, check=lzma.CHECK_CRC32) + struct.pack("<I", len(data))
