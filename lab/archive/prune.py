# SPDX-License-Identifier: GPL-2.0-only
"""Removes the bytes of bundles and leaves their rows: in the index, and on disk for whoever makes that anew.

A bundle becomes a husk in this order: its rows are written to `pruned.json`, its manifest goes, then all the rest. Cut
short before the manifest is gone, it is a whole bundle as before; after that it is a husk, and the next prune goes on.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lab.archive.index import Index
from lab.archive.keep import Stored, to_prune, wanted
from lab.archive.places import path_of
from lab.archive.rows import NAME, PRUNED, THERE, TOLD, BundleRow, HostRow, KernelRow, RunRow, Told
from lab.collect.bundle import file_mode, write_whole
from lab.collect.stored import read_file
from lab.contracts import HUSK, MANIFEST, Progress
from lab.errors import BadInput
from lab.experiments.found import older_records
from lab.host.records import dump_record, parse_record
from lab.host.workers import at_work
from lab.units import MIB, utc_now
from lab.verdict.model import Word

LARGEST = MIB
"""Bytes of a husk: fifty findings and the rest are some 60 KiB."""


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be; what stays for what it is; what there was in all (bytes)."""

    gone: tuple[Stored, ...]
    stay: int
    total: int


def prune(
    index: Index, root: Path, *, keep_days: float, most: int | None, dry_run: bool, progress: Progress = lambda _: None
) -> Pruned:
    """Prune the results folder (never a place that was added). The index must be up to date. Raises OSError."""
    stored = list(_stored(index, root))
    stay: dict[str, str] = {}
    for (cell,) in index.execute("SELECT DISTINCT cell FROM runs"):
        stay |= wanted(index.take(RunRow, "WHERE cell = ?", cell))
    busy = {folder for folder in {s.bundle.folder for s in stored} if _is_busy(root / folder)}
    movable = [s for s in stored if s.bundle.folder not in busy]
    room = None if most is None else max(0, most - sum(s.on_disk for s in stored if s.bundle.folder in busy))
    gone = to_prune(movable, stay, datetime.datetime.now(datetime.UTC), keep_days=keep_days, most=room)
    if not dry_run:
        for number, each in enumerate(gone, 1):
            progress(f"removing {number} of {len(gone)}")
            _husk(index, root, each)
        for row in index.take(BundleRow, "WHERE place = '' AND state = ?", PRUNED):
            _empty(path_of(root, "", row.folder, row.name))
    held = sum(1 for s in stored if s.run.key in stay or s.bundle.folder in busy)
    return Pruned(gone, held, sum(s.on_disk for s in stored))


def _stored(index: Index, root: Path) -> Iterator[Stored]:
    bundles = index.take(BundleRow, "WHERE place = '' AND state = ?", THERE)
    runs = {run.key: run for run in index.take(RunRow, "JOIN bundles ON bundles.key = runs.key AND bundles.place = ''")}
    for bundle in bundles:
        path = path_of(root, "", bundle.folder, bundle.name)
        if bundle.key in runs and path.is_dir():
            yield Stored(runs[bundle.key], bundle, _on_disk(path))


def _on_disk(path: Path) -> int:
    """Bytes that go when a folder goes."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).lstat().st_blocks * 512
    return total


def _is_busy(folder: Path) -> bool:
    """Whether workers of a session may still write into it, or read from it."""
    from lab.archive.reports import stored_plan

    try:
        return bool(at_work(stored_plan(folder).sockets))
    except (BadInput, OSError):
        return False


# -- husks -----------------------------------------------------------------------------------------------------------


def _husk(index: Index, root: Path, each: Stored) -> None:
    """Leave the rows of a bundle, and no more of it."""
    (run,) = index.take(RunRow, "WHERE key = ?", each.run.key)
    (kernel,) = index.take(KernelRow, "WHERE key = ?", run.kernel)
    (host,) = index.take(HostRow, "WHERE key = ?", run.host)
    told = Told(run, kernel, host, tuple(index.findings(run.key)))
    path = path_of(root, "", each.bundle.folder, each.bundle.name)
    fields = {"pruned": utc_now(), "size": each.bundle.size, "told": TOLD.dump_python(told, mode="json")}
    write_whole(path / HUSK, dump_record(fields), file_mode())
    for durable in (path / HUSK, path):
        _sync(durable)
    for record in (MANIFEST, *older_records()):
        (path / record).unlink(missing_ok=True)
    _sync(path)
    _empty(path)


def _empty(path: Path) -> None:
    """All but the husk."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name == HUSK:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_husk(path: Path) -> tuple[Told, int, str]:
    """What is left of a bundle: its rows, the size it had, and when it was pruned. Raises BadInput."""
    data = read_file(path / HUSK, LARGEST)
    try:
        record = parse_record(data or b"")
        size, when = record["size"], record["pruned"]
        if not isinstance(size, int) or not isinstance(when, str) or not 0 <= size < 2**63 or len(when) > NAME:
            raise ValueError("size and pruned are a number and a time")
        told = TOLD.validate_json(json.dumps(record["told"]))
        Word(told.run.word)
        return told, size, when
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        raise BadInput([f"{HUSK}: {'.'.join(map(str, first['loc']))}: {first['msg']}"]) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise BadInput([f"{HUSK} is damaged: {exc}"]) from exc
