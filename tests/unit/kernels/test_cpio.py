# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from lab.kernels import cpio
from lab.kernels.bootable import initrd_entries
from lab.kernels.modules import LoadStep, Module


def read_back(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Path -> mode, data, device; fails on anything the kernel would refuse."""
    found: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[i : i + 8], 16) for i in range(at + 6, at + 110, 8)]
        mode, size, device, name_size = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        data_at = (at + 110 + name_size + 3) & ~3
        at = (data_at + size + 3) & ~3
        if name == "TRAILER!!!":
            assert at == len(archive)
            return found
        found[name] = (mode, archive[data_at : data_at + size], device)


def test_what_is_written_can_be_read() -> None:
    entries = [
        cpio.directory("dev"),
        cpio.char_device("dev/console", 5, 1),
        cpio.regular("init", b"12345", mode=0o755),
        cpio.regular("empty", b""),
    ]
    assert read_back(cpio.newc(entries)) == {
        "dev": (0o40755, b"", (0, 0)),
        "dev/console": (0o20600, b"", (5, 1)),
        "init": (0o100755, b"12345", (0, 0)),
        "empty": (0o100644, b"", (0, 0)),
    }


def test_the_initrd_lists_its_modules_in_load_order() -> None:
    steps = (
        LoadStep("core", Module("virtio_blk", b"A", (), ())),
        LoadStep("nic:igb", Module("dca", b"B", (), ())),
        LoadStep("nic:igb", Module("igb", b"C", (), ())),
    )
    files = read_back(cpio.newc(initrd_entries(b"INIT", steps)))
    assert files["modules/load"][1] == b"core 00-virtio_blk.ko\nnic:igb 01-dca.ko\nnic:igb 02-igb.ko\n"
    assert [files[f"modules/{n}"][1] for n in ("00-virtio_blk.ko", "01-dca.ko", "02-igb.ko")] == [b"A", b"B", b"C"]
    assert files["init"] == (0o100755, b"INIT", (0, 0))
    assert {"proc", "sys", "root", "dev"} <= files.keys()
