# SPDX-License-Identifier: GPL-2.0-only
"""What a file holds, and whether it is still what it was: digests, remembered while a file is left alone.

A digest is remembered by device, inode, size, time of change and, because the former can be set back, time of the
inode's change; and by this boot of the host, so that a disk that rots is read anew now and then. What changes bytes
below the file system is seen when they are read again: `anew`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from lab.host.paths import cache_root
from lab.host.records import load_record, write_record, write_whole
from lab.units import KIB

SEAL = "sealed.json"
SMALL = 64 * KIB
"""What is no larger is read again sooner than its digest is looked up."""
TICK_NS = 50_000_000
"""Time stamps of a file stand still for that long at most (a tick of the kernel's clock is 10 ms or less)."""
CHUNK = 64 * KIB


def sha256_of(path: Path, *, anew: bool = False) -> str:
    """Content hash of a file. `anew`: read the file, whatever is remembered. Raises OSError."""
    return _remembered(path, _sha256, anew=anew)


def sparse_digest(path: Path, *, anew: bool = False) -> str:
    """A digest of what a file with large holes holds, whether nothing is a hole or a block of zeros there."""
    return _remembered(path, _sparse_sha256, anew=anew)


def damage_to(path: Path, wanted: str, *, anew: bool = False) -> str:
    """How a file differs from the sha256 that it should have; "" when it does not.

    What is remembered is not enough to call a file damaged: it is then read again.
    """
    try:
        found = sha256_of(path, anew=anew)
        if found != wanted and not anew:
            found = sha256_of(path, anew=True)
    except OSError as exc:
        return f"{path} cannot be read: {exc.strerror}"
    return "" if found == wanted else f"{path} is damaged: its sha256 is {found}, it should be {wanted}"


# -- directories -----------------------------------------------------------------------------------------------------


def seal(folder: Path) -> None:
    """Write down what each file of a directory is; the directory gets its own name afterwards."""
    files = {str(p.relative_to(folder)): sha256_of(p) for p in sorted(folder.rglob("*")) if _is_plain(p)}
    write_record(folder / SEAL, {"files": files})


def sealed(folder: Path) -> dict[str, str]:
    """The sha256 of each file by its path in the directory. Raises OSError or ValueError where that cannot be read."""
    files = load_record(folder / SEAL).get("files")
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise ValueError(f"{folder / SEAL} names no files")
    return files


def damage_of(folder: Path, *, anew: bool = False) -> str:
    """What is not as it was sealed, one file of it; "" when all is well. Files that came later count for nothing."""
    try:
        files = sealed(folder)
        known = _memo("sealed", *(_identity(folder / name) for name in (SEAL, *sorted(files))))
    except (OSError, ValueError) as exc:
        return f"{folder} is damaged: {_words(exc, folder / SEAL)}"
    if not anew and _read_memo(known) == SEAL:
        return ""
    began = time.time_ns()
    found = (damage_to(folder / name, wanted, anew=anew) for name, wanted in files.items())
    if wrong := next(filter(None, found), ""):
        known.unlink(missing_ok=True)
        return wrong
    if all(_is_settled(folder / name, began) for name in files):
        _write_memo(known, SEAL)
    return ""


def _words(exc: Exception, path: Path) -> str:
    if isinstance(exc, OSError):
        return f"{exc.filename or path}: {exc.strerror}"
    return f"{path}: {exc}"


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.name != SEAL


# -- reading and remembering -----------------------------------------------------------------------------------------


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sparse_sha256(path: Path) -> str:
    """Of the size, and of every chunk that is not all zeros with its place."""
    zeros, digest = bytes(CHUNK), hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb", buffering=0) as stream:
        for start, end in _extents(stream.fileno()):
            for at in range(start - start % CHUNK, end, CHUNK):
                data = os.pread(stream.fileno(), CHUNK, at)
                if data != zeros[: len(data)]:
                    digest.update(at.to_bytes(8, "big") + data)
    return digest.hexdigest()


def _extents(fd: int) -> Iterator[tuple[int, int]]:
    """Where a file has data, each chunk once, by lseek(2)."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        end += -end % CHUNK
        yield start, end


def _remembered(path: Path, read: Callable[[Path], str], *, anew: bool) -> str:
    memo = _memo(read.__name__, _identity(path))
    if path.stat().st_size <= SMALL:
        return read(path)
    if not anew and (known := _read_memo(memo)):
        return known
    began = time.time_ns()
    digest = read(path)
    if _is_settled(path, began) and _memo(read.__name__, _identity(path)) == memo:
        _write_memo(memo, digest)
    return digest


def _is_settled(path: Path, began: int) -> bool:
    """Whether a change after `began` would show in the file's times: one in the same tick as the last would not."""
    return began - path.stat().st_ctime_ns > TICK_NS


def _identity(path: Path) -> str:
    seen = path.stat()
    return f"{seen.st_dev} {seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _memo(*parts: str) -> Path:
    return cache_root() / "hashes" / hashlib.sha256("\n".join((_boot(), *parts)).encode()).hexdigest()


def _read_memo(memo: Path) -> str:
    """What is remembered; "" for what is damaged: each line ends with a check of itself and of what it is about."""
    try:
        digest, check = memo.read_text().split()
    except (OSError, ValueError):
        return ""
    return digest if check == _check(memo, digest) else ""


def _write_memo(memo: Path, digest: str) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        write_whole(memo, f"{digest} {_check(memo, digest)}\n".encode())


def _check(memo: Path, digest: str) -> str:
    return hashlib.sha256(f"{memo.name} {digest}".encode()).hexdigest()[:16]
