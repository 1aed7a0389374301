# SPDX-License-Identifier: GPL-2.0-only
"""A bundle's files on disk. Only regular files inside the folder are read, each no further than its bound."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lab.errors import BadInput
from lab.evidence import bounds
from lab.evidence.files import Files
from lab.evidence.manifest import FileRecord
from lab.text.words import printable

DERIVED = frozenset({"verdict.json", "curve.svg"})
"""Made from the evidence; not hashed, and never read back from a bundle that came from elsewhere."""

CHUNK = 1 << 20
UNREAD = "0" * 64
"""In place of the hash of a file that is too large to be read: no file has it."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EINVAL)


class Stored(Files):
    """The files below a folder. What lies there and is neither file nor folder is told in `problems`, not touched.

    budget  bytes that may be read in all; None for a bundle that we have just made
    """

    def __init__(self, root: Path, *, budget: int | None = bounds.WHOLE) -> None:
        self.root, self._left = root, budget
        self._records: dict[str, FileRecord] = {}
        self._problems: list[str] = []
        self._paths = tuple(sorted(self._walk()))

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str) or path in self._records:
            return path in self._records
        with self._opened(path) as file:
            return file is not None

    def __getitem__(self, path: str) -> bytes:
        return self._read(path, bounds.bound_of(path))

    def record(self, path: str) -> FileRecord:
        if path not in self._records:
            self._read(path, 0)
        return self._records[path]

    def _read(self, path: str, keep: int) -> bytes:
        """The first bytes of a file; all of it is hashed."""
        with self._opened(path) as file:
            if file is None:
                raise KeyError(path)
            size = os.fstat(file).st_size
            kept = _exactly(file, min(size, keep))
            known = self._records.get(path)
            if known is None and not self._afford(path, size):
                self._records[path] = FileRecord(size=size, sha256=UNREAD)
            elif known is None or known.sha256 != UNREAD:
                self._records[path] = _hashed(file, kept, size)
        return kept

    def _afford(self, path: str, size: int) -> bool:
        """Whether a file may be read, which it then is."""
        if self._left is None or size <= self._left:
            self._left = None if self._left is None else self._left - size
            return True
        most = bounds.size_told(bounds.WHOLE)
        self._problems.append(f"{path}: {size} bytes, not read: a bundle may hold no more than {most} in all")
        return False

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[int | None]:
        """A regular file, reached through folders alone; None where there is no such thing."""
        *folders, name = path.split("/")
        if name in DERIVED or name.startswith(".") or not _is_plain(path):
            yield None
            return
        with contextlib.ExitStack() as stack:
            try:
                fd = _kept(stack, os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                for folder in folders:
                    fd = _kept(stack, os.open(folder, _FOLDER, dir_fd=fd))
                # To open a device may do something, so look first.
                regular = stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
                file = _kept(stack, os.open(name, _FILE, dir_fd=fd)) if regular else None
            except OSError as refusal:
                if refusal.errno not in _NOT_THERE:
                    raise
                file = None
            yield file if file is not None and stat.S_ISREG(os.fstat(file).st_mode) else None

    def _walk(self) -> Iterator[str]:
        """Every file's path, without those that are derived or hidden. Notes what is no file, and stops at a bound."""
        folders, seen = [""], 0
        while folders:
            folder = folders.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    seen += 1
                    path = f"{folder}{entry.name}"
                    if seen > bounds.FILES:
                        self._problems.append(
                            f"{printable(path)}: more than {bounds.FILES} files: no more are looked at"
                        )
                        return
                    if entry.is_dir(follow_symlinks=False):
                        folders += self._below(path)
                    elif not entry.is_file(follow_symlinks=False):
                        self._problems.append(f"{printable(path)}: {_kind(entry)}")
                    elif entry.name not in DERIVED and not entry.name.startswith("."):
                        yield path

    def _below(self, folder: str) -> list[str]:
        if folder.count("/") < bounds.DEPTH and len(folder) < bounds.PATH:
            return [f"{folder}/"]
        self._problems.append(f"{printable(folder)}: more than {bounds.DEPTH} folders deep: not looked at")
        return []


def read_bundle(root: Path) -> Stored:
    """The files of a bundle by their path inside, each read when it is asked for. Raises BadInput for no directory."""
    if not root.is_dir():
        raise BadInput([f"{root} is not a directory"], hint="name the directory that holds manifest.json")
    return Stored(root)


def read_file(path: Path, most: int) -> bytes | None:
    """A regular file, followed through no link; None where there is none, or it is longer than `most` bytes."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with open(os.open(path, _FILE), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(most + 1)
    except OSError as refusal:
        if refusal.errno not in _NOT_THERE:
            raise
        return None
    return data if len(data) <= most else None


def _is_plain(path: str) -> bool:
    return all(part not in ("", ".", "..") for part in path.split("/")) and "\0" not in path


def _kept(stack: contextlib.ExitStack, fd: int) -> int:
    stack.callback(os.close, fd)
    return fd


def _exactly(file: int, size: int) -> bytes:
    """That many bytes, fewer when the file has become shorter."""
    if not size:
        return b""
    with os.fdopen(os.dup(file), "rb", buffering=0) as stream:
        parts = [stream.read(size)]
        while sum(map(len, parts)) < size and (more := stream.read(size - sum(map(len, parts)))):
            parts.append(more)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _hashed(file: int, kept: bytes, size: int) -> FileRecord:
    """Size and hash of a file whose first bytes were read already; no further than it was long when it was opened."""
    digest, read = hashlib.sha256(kept), len(kept)
    while read < size and (chunk := os.read(file, min(CHUNK, size - read))):
        digest.update(chunk)
        read += len(chunk)
    return FileRecord(size=read, sha256=digest.hexdigest())


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a symbolic link: what it points at is not read"
    return "no regular file: it is not opened"
