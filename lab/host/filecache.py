# SPDX-License-Identifier: GPL-2.0-only
"""Directories that are made once, appear whole or not at all, and may be asked for by many processes at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lab.contracts import Progress
from lab.errors import FetchFailed, HostTrouble
from lab.host.digests import damage_of, seal
from lab.host.records import tell, write_whole
from lab.units import mib

OWN_CACHE = "set LAB_CACHE to a directory of yours"
MOVE_CACHE = "free some space, run `make clean-cache`, or set LAB_CACHE to a directory on another disk"


def ensure_dir(
    target: Path,
    make: Callable[[Path], None],
    *,
    progress: Progress,
    damage: Callable[[Path], str] = lambda _: "",
) -> Path:
    """`target`, made by `make(empty directory)` when it is not there yet, or is damaged.

    Work happens in `target.partial` under a lock and is renamed into place, so an interrupted or failed `make` leaves
    nothing behind that could be taken for the result. `damage` says what is wrong with one that is there, "" when it is
    as it was made; a damaged one is dropped, which is told, and made again.
    """
    if target.is_dir() and not damage(target):
        return target
    with _clear_errors(target), locked(target, progress=progress):
        if target.is_dir():
            wrong = damage(target)
            if not wrong:
                return target
            drop(target)
            tell(f"{wrong}; it was dropped, and is made again")
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            make(partial)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def ensure_sealed(target: Path, make: Callable[[Path], None], *, progress: Progress) -> Path:
    """As `ensure_dir` for files that guests are made of: each must be, at every use, what it was when it was made."""

    def sealed(partial: Path) -> None:
        make(partial)
        seal(partial)

    return ensure_dir(target, sealed, progress=progress, damage=damage_of)


def drop(target: Path) -> None:
    """Remove a directory of the cache, at once: nobody may find half of it. Who has files of it open keeps them."""
    doomed = target.with_name(f"{target.name}.dropped.{time.monotonic_ns()}")
    try:
        target.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


@contextmanager
def locked(target: Path, *, progress: Progress, holder: str = "") -> Iterator[None]:
    """Only one process at a time is inside for one target. `holder`: what those who wait are told."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(target.name + ".lock"))
    told = target.with_name(target.name + ".holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting for {_holder(told) or f'another process that makes {target.name}'}")
        lock.acquire()
    try:
        if holder:
            write_whole(told, f"process {os.getpid()} ({holder})".encode())
        yield
    finally:
        lock.release()


def holder_of(target: Path) -> str:
    """What the process said that is inside for this target, "" when none is."""
    lock = FileLock(target.with_name(target.name + ".lock"))
    try:
        with lock.acquire(timeout=0):
            return ""
    except Timeout:
        return _holder(target.with_name(target.name + ".holder"))


def _holder(told: Path) -> str:
    try:
        return told.read_text()
    except FileNotFoundError:
        return ""


def require_space(where: Path, needed: int) -> None:
    """Raise FetchFailed before work that cannot end well."""
    where.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(where).free
    if free < needed:
        raise FetchFailed(f"{where} has {mib(free)} free, {mib(needed)} are needed", hint=MOVE_CACHE)


def key_of(*parts: str | bytes) -> str:
    """A short name for a combination of contents; parts cannot run into each other."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:20]


@contextmanager
def _clear_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FetchFailed(f"no space left while making {target}", hint=MOVE_CACHE) from exc
        if exc.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise HostTrouble(f"cannot write {target}: {exc.strerror}", hint=OWN_CACHE) from exc
        raise
