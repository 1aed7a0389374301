# SPDX-License-Identifier: GPL-2.0-only
"""A bundle's files, however they are kept: what may be read of each, and what each is by size and hash."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping

from lab.evidence.bounds import bound_of, size_told
from lab.evidence.manifest import FileRecord


class Files(Mapping[str, bytes]):
    """Bytes by path inside the bundle; of a file that is too large, no more than its bound."""

    @property
    @abstractmethod
    def problems(self) -> tuple[str, ...]:
        """What is there and may not be read, as sentences that begin with its path."""

    @abstractmethod
    def record(self, path: str) -> FileRecord:
        """Size and hash of the whole file. Raises KeyError."""

    def too_large(self, path: str) -> str:
        """The bound that a file exceeds, as words; "" when all of it is read."""
        size, bound = self.record(path).size, bound_of(path)
        return f"{size} bytes, and no more than {size_told(bound)} of it are read" if size > bound else ""


class InMemory(Files):
    """Files that were read already."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self._data = data

    def __getitem__(self, path: str) -> bytes:
        return self._data[path][: bound_of(path)]

    def __contains__(self, path: object) -> bool:
        return path in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def problems(self) -> tuple[str, ...]:
        return ()

    def record(self, path: str) -> FileRecord:
        return record_of(self._data[path])


class Inside(Files):
    """The files of one folder of a bundle, as a bundle of their own."""

    def __init__(self, outer: Files, folder: str) -> None:
        self._outer, self._folder = outer, f"{folder}/"

    def __getitem__(self, path: str) -> bytes:
        return self._outer[self._folder + path]

    def __iter__(self) -> Iterator[str]:
        return (p.removeprefix(self._folder) for p in self._outer if p.startswith(self._folder))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._folder + path in self._outer

    @property
    def problems(self) -> tuple[str, ...]:
        """The outer bundle tells them."""
        return ()

    def record(self, path: str) -> FileRecord:
        return self._outer.record(self._folder + path)


def files_of(data: Mapping[str, bytes]) -> Files:
    """The same, with what a plain mapping does not know."""
    return data if isinstance(data, Files) else InMemory(data)


def record_of(data: bytes) -> FileRecord:
    """What the manifest says of a file: its size in bytes and its sha256."""
    return FileRecord(size=len(data), sha256=hashlib.sha256(data).hexdigest())
