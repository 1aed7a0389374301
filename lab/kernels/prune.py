# SPDX-License-Identifier: GPL-2.0-only
"""What building leaves in the cache, and what of it may go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from lab.host.paths import cache_root
from lab.kernels import products

Kind = Literal["kernel", "objects", "tree"]


@dataclass(frozen=True)
class Item:
    """Something that can be made again. last_used in seconds since the epoch."""

    kind: Kind
    label: str
    path: Path
    size: int
    last_used: float


def items() -> tuple[Item, ...]:
    """Kernels, object directories and trees, what was used last first."""
    found = [
        Item("kernel", f"{p.record['name']} ({p.record['release']})", p.path, p.size, p.last_used)
        for p in products.everything()
    ]
    for tree in (cache_root() / "build").glob("*/tree"):
        objects = [
            Item("objects", f"{o.name} of {tree.parent.name}", o, _size(o), _used(o)) for o in tree.glob("obj-*")
        ]
        last = max([tree.stat().st_mtime, *(o.last_used for o in objects)])
        own = _size(tree) - sum(o.size for o in objects)
        found += [*objects, Item("tree", tree.parent.name, tree.parent, own, last)]
    return tuple(sorted(found, key=lambda item: -item.last_used))


def too_many(found: Sequence[Item], unused_for: timedelta, most: int | None, now: float) -> tuple[Item, ...]:
    """What has not been used for that long; and, least recently used first, what is over `most` bytes. No I/O.

    With a tree go the object directories in it.
    """
    kept, going = 0, list[Item]()
    for item in sorted(found, key=lambda i: (-i.last_used, i.kind != "tree")):
        is_old = now - item.last_used > unused_for.total_seconds()
        is_much = most is not None and kept + item.size > most
        if is_old or is_much or any(g.path in item.path.parents for g in going):
            going.append(item)
        else:
            kept += item.size
    return tuple(going)


def prune(unused_for: timedelta, most: int | None, *, dry_run: bool) -> tuple[tuple[Item, str], ...]:
    """Remove what is too old or too much. Returns each with why it stayed, "" when it went (or would go)."""
    return tuple((item, _remove(item, dry_run=dry_run)) for item in too_many(items(), unused_for, most, time.time()))


def _remove(item: Item, *, dry_run: bool) -> str:
    """Reason why an item must stay; "" when it went."""
    if item.kind == "kernel":
        product = products.read(item.path)
        if product is None:
            return ""
        with products.unused(product) as is_unused:
            if is_unused and not dry_run:
                shutil.rmtree(item.path)
            return "" if is_unused else "a running session uses it"
    try:
        with FileLock(cache_root() / "build" / "builder.lock").acquire(timeout=0):
            if not dry_run:
                shutil.rmtree(item.path, ignore_errors=True)
            return ""
    except Timeout:
        return "a builder is at work"


def _used(objects: Path) -> float:
    state = objects / "lab.json"
    return (state if state.exists() else objects).stat().st_mtime


def _size(path: Path) -> int:
    """Bytes on disk of everything below."""
    return sum(p.lstat().st_blocks * 512 for p in path.rglob("*") if not p.is_dir())
