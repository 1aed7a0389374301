# SPDX-License-Identifier: GPL-2.0-only
"""Write a cpio archive as the kernel unpacks it: Documentation/driver-api/early-userspace/buffer-format.rst.

An own writer needs no root for device nodes and gives the same bytes for the same content.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One file of the archive; mode with its type bits; device as (major, minor)."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def regular(path: str, data: bytes, *, mode: int = 0o644) -> Entry:
    return Entry(path, stat.S_IFREG | mode, data)


def char_device(path: str, major: int, minor: int) -> Entry:
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def newc(entries: Iterable[Entry]) -> bytes:
    """The archive; owner root, times zero."""
    numbered = [_member(i, e) for i, e in enumerate(entries, start=1)]
    return b"".join([*numbered, _member(0, Entry("TRAILER!!!", 0))])


def _member(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % f for f in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
