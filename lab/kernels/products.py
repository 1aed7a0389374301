# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that are built: where they lie, what is known of each, who uses one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab.host.digests import damage_to
from lab.host.filecache import holder_of, key_of
from lab.host.paths import cache_root
from lab.host.records import read_record
from lab.kernels.base import Base
from lab.kernels.fragments import Fragment, merge, values, written
from lab.kernels.ranges import fitted
from lab.kernels.recipe import kernel_key
from lab.kernels.series import Series, kept_in

RECORD = "kernel.json"
BUILDS = "kernel "
_NEEDED: dict[str, type] = {
    **dict.fromkeys(("name", "design", "key", "series_key", "toolchain", "release", "sha256", "config_sha256"), str),
    **{"base": dict, "series": list, "fragments": list},
}
_held: dict[Path, IO[bytes]] = {}


@dataclass(frozen=True)
class Product:
    """A built kernel: its directory and its record (see `lab.kernels.build`)."""

    path: Path
    record: dict[str, Any]

    @property
    def boot(self) -> Path:
        return self.path / "boot"

    def series(self) -> Series:
        """The patches as they were applied."""
        data = (self.path / "series.mbox").read_bytes()
        return kept_in(data, "series.mbox")

    def fragments(self) -> tuple[Fragment, ...]:
        """The fragments as they were merged, in order."""
        kept = sorted((self.path / "fragments").iterdir(), key=lambda p: int(p.name.partition("-")[0]))
        return tuple(Fragment(p.name.partition("-")[2], p.read_text()) for p in kept)

    def config(self) -> dict[str, str]:
        return values((self.path / "config").read_text())

    def damage(self) -> tuple[str, ...]:
        """What is not as the record says: hashes of the files, keys of what it was made of. Empty when all is well."""
        facts = self.record
        options = written(fitted(merge(self.fragments()), Base(**facts["base"]).version))
        key = kernel_key(facts["base"]["key"], self.series().key, options, facts["toolchain"])
        checks = {
            "boot": not damage_to(self.boot, facts["sha256"]),
            "config": not damage_to(self.path / "config", facts["config_sha256"]),
            "series.mbox": self.series().key == facts["series_key"],
            "fragments": [key_of(f.text) for f in self.fragments()] == [f["key"] for f in facts["fragments"]],
            "key": key == facts["key"] and self.path.name == f"built-{key}",
        }
        return tuple(f"{name} is not what {RECORD} says" for name, is_well in checks.items() if not is_well)

    @property
    def size(self) -> int:
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return (self.path / RECORD).stat().st_mtime


def builder() -> Path:
    """Whose lock a process holds while it builds."""
    return cache_root() / "build" / "builder"


def being_built() -> tuple[str, str]:
    """The name of the kernel that is being built at this moment, and by whom; ("", "") when none is."""
    who, _, name = holder_of(builder()).rstrip(")").partition(f" ({BUILDS}")
    return name, who


def directory(key: str) -> Path:
    return cache_root() / "kernels" / f"built-{key}"


def read(path: Path) -> Product | None:
    """The product in a directory, None when there is none, or its record is damaged."""
    record = read_record(path / RECORD, _checked)
    return Product(path, record) if record is not None else None


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """Raises KeyError or TypeError for what is no record of a kernel."""
    for name, kind in _NEEDED.items():
        if not isinstance(record[name], kind):
            raise TypeError(f"{name} is not what it should be")
    return record


def damage(path: Path) -> str:
    """Why the kernel in a directory cannot be booted as the one it was built as; "" when it can."""
    product = read(path)
    if product is None:
        return f"{path / RECORD} is damaged or missing"
    wrong = damage_to(product.boot, product.record["sha256"])
    return wrong or damage_to(path / "config", product.record["config_sha256"])


def everything() -> tuple[Product, ...]:
    """All built kernels, the one used last first."""
    folders = (d for d in (cache_root() / "kernels").glob("built-*") if d.is_dir())  # locks lie beside them
    found = [p for d in folders if (p := read(d)) is not None]
    return tuple(sorted(found, key=lambda p: -p.last_used))


def hold(product: Product) -> None:
    """Keep others from pruning a product until this process ends, and note that it was used."""
    if product.path not in _held:
        stream = (product.path / RECORD).open("rb")
        fcntl.flock(stream, fcntl.LOCK_SH)
        _held[product.path] = stream
    os.utime(product.path / RECORD)


@contextmanager
def unused(product: Product) -> Iterator[bool]:
    """Whether no process holds the product; while the block runs, none can."""
    with (product.path / RECORD).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
