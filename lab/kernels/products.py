"""Kernels that are built: where they lie, what is known of each, who uses one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab.paths import cache_root

RECORD = "kernel.json"
_held: dict[Path, IO[bytes]] = {}


@dataclass(frozen=True)
class Product:
    """A built kernel: its directory and its record (see `lab.kernels.build`)."""

    path: Path
    record: dict[str, Any]

    @property
    def boot(self) -> Path:
        return self.path / "boot"

    @property
    def size(self) -> int:
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())

    @property
    def last_used(self) -> float:
        """Seconds since the epoch."""
        return (self.path / RECORD).stat().st_mtime


def directory(key: str) -> Path:
    return cache_root() / "kernels" / f"built-{key}"


def read(path: Path) -> Product | None:
    """The product in a directory, None when there is none."""
    record = path / RECORD
    return Product(path, json.loads(record.read_text())) if record.is_file() else None


def everything() -> tuple[Product, ...]:
    """All built kernels, the one used last first."""
    found = [p for d in (cache_root() / "kernels").glob("built-*") if (p := read(d)) is not None]
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
