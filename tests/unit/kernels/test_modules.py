# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import lzma
from collections.abc import Callable
from pathlib import Path

import zstandard

from lab.kernels import modules
from tests.unit.kernels.binaries import module


def found(*built: bytes) -> Callable[[str], modules.Module | None]:
    table = {name: modules.parse_module(name, data) for name, data in ((_name(b), b) for b in built)}
    return table.get


def _name(data: bytes) -> str:
    return data.partition(b"\0name=")[2].partition(b"\0")[0].decode()


def test_needs_are_read_from_modinfo() -> None:
    parsed = modules.parse_module(
        "igb", module("igb", depends=["dca", "i2c-algo-bit"], softdep="pre: crc32c post: late")
    )
    assert parsed.depends == ("dca", "i2c_algo_bit")
    assert parsed.wants == ("crc32c_generic",)


def test_a_file_that_is_no_module_needs_nothing() -> None:
    assert modules.parse_module("x", b"rubbish").depends == ()


def test_dependencies_come_first_and_once() -> None:
    find = found(module("a", depends=["b", "c"]), module("b", depends=["c"]), module("c"))
    assert [m.name for m in modules.closure(["a", "c", "a"], find)] == ["c", "b", "a"]


def test_a_missing_or_looping_dependency_does_not_stop_the_rest() -> None:
    find = found(module("a", depends=["gone", "b"]), module("b", depends=["a"]))
    assert [m.name for m in modules.closure(["a"], find)] == ["b", "a"]


def test_what_two_nics_share_is_loaded_with_the_core() -> None:
    find = found(
        module("virtio_blk", depends=["virtio"]),
        module("virtio"),
        module("e1000e", depends=["ptp", "virtio"]),
        module("igb", depends=["ptp", "dca"]),
        module("ptp"),
        module("dca"),
    )
    assert [(s.group, s.module.name) for s in modules.plan_loading(find)] == [
        ("core", "virtio"),
        ("core", "virtio_blk"),
        ("core", "ptp"),
        ("nic:e1000e", "e1000e"),
        ("nic:igb", "dca"),
        ("nic:igb", "igb"),
    ]


def test_modules_are_found_in_every_packing_and_builtin_ones_are_not_loaded(tmp_path: Path) -> None:
    drivers = tmp_path / "kernel" / "drivers"
    drivers.mkdir(parents=True)
    rng = module("virtio_rng")
    (drivers / "virtio-rng.ko").write_bytes(rng)
    (drivers / "erofs.ko.xz").write_bytes(lzma.compress(module("erofs")))
    (drivers / "igb.ko.zst").write_bytes(zstandard.ZstdCompressor().compress(module("igb")))
    (drivers / "virtio_pci.ko").write_bytes(module("virtio_pci"))
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/e1000e.ko\n")
    find = modules.finder(tmp_path)
    assert find("virtio_pci") is None
    assert find("nothing") is None
    assert find("virtio_rng") == modules.Module("virtio_rng", rng, (), ())
    steps = modules.plan_loading(find)
    assert [s.module.name for s in steps] == ["virtio_rng", "erofs", "igb"]
    assert modules.present(tmp_path, steps) == ("virtio_rng", "erofs", "igb", "virtio_pci", "e1000e")
