# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from lab.kernels.vmlinux import extract_vmlinux, has_pvh_note, kernel_release
from tests.unit.kernels.binaries import bzimage, vmlinux, xz_with_size


@pytest.mark.parametrize(
    "compress",
    [
        xz_with_size,
        lambda d: zstandard.ZstdCompressor().compress(d) + b"\0\0\0\0",
        lambda d: gzip.compress(d) + b"\0\0\0\0",
        lambda d: bz2.compress(d) + b"\0\0\0\0",
        lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE),
    ],
    ids=["xz", "zstd", "gzip", "bzip2", "lzma"],
)
def test_the_kernel_comes_out_of_each_compression(compress: Callable[[bytes], bytes]) -> None:
    assert extract_vmlinux(bzimage(compress(vmlinux()))) == vmlinux()


def test_a_plain_vmlinux_is_taken_as_it_is() -> None:
    assert extract_vmlinux(vmlinux()) == vmlinux()


@pytest.mark.parametrize(
    "image",
    [
        bzimage(xz_with_size(vmlinux()), protocol=0x207),
        bzimage(b"\x02\x21\x4c\x18 lz4 of the kernel"),
        bzimage(xz_with_size(vmlinux())[:60]),
        bzimage(b"\xfd7zXZ\x00 and then rubbish"),
        bzimage(xz_with_size(vmlinux(note_kind=17))),
        b"",
        b"#!/bin/sh",
    ],
    ids=["old protocol", "lz4", "cut short", "damaged", "no PVH", "empty", "script"],
)
def test_what_qemu_could_not_boot_as_elf_stays_a_bzimage(image: bytes) -> None:
    assert extract_vmlinux(image) is None


def test_the_note_must_be_the_entry_point() -> None:
    assert has_pvh_note(vmlinux())
    assert not has_pvh_note(vmlinux(note_kind=1))


def test_the_release_is_read_from_both_forms(tmp_path: Path) -> None:
    forms = {"vmlinux": vmlinux(), "bzImage": bzimage(b""), "empty": b"", "text": b"hello" * 200}
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
    assert kernel_release(tmp_path / "vmlinux") == "6.99.1-test"
    assert kernel_release(tmp_path / "bzImage") == "6.99.1-test"
    assert kernel_release(tmp_path / "empty") is None
    assert kernel_release(tmp_path / "text") is None
