# SPDX-License-Identifier: GPL-2.0-only
"""What a host has made, as one compressed tar stream with a hash; and how much of one is believed.

Only plain files travel. A stream may be damaged, or made by somebody who means harm: nothing of it is written outside
of the folder that it is for, and what it may cost is decided by who reads it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import zstandard

from lab.errors import BadInput
from lab.evidence import bounds
from lab.text.words import clipped, printable
from lab.units import MIB

LEVEL = 3
WINDOW = 1 << 27
"""Bytes of memory that unpacking may take."""
CHUNK = 1 << 20
A_RUN = 512 * MIB
"""Bytes that the files of one run may come to; a run leaves a few MiB, and one that floods is cut off long before."""


@dataclass(frozen=True)
class Bounds:
    """Of a stream: the names that its top level may have, files and bytes in all."""

    names: Collection[str]
    files: int
    size: int

    @classmethod
    def of(cls, runs: Collection[str], *others: str) -> Bounds:
        """For these runs, and some files beside them."""
        return cls({*runs, *others}, bounds.FILES * (len(runs) + 1), A_RUN * (len(runs) + 1))


class Hashed:
    """A stream that knows what went through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest, self.size = stream, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


def pack(folder: Path, names: Collection[str], stream: IO[bytes]) -> tuple[str, int]:
    """Write what lies under these names of a folder; sha256 and size of the stream. Links and others stay here.

    Raises OSError.
    """
    out = Hashed(stream)
    packer = zstandard.ZstdCompressor(level=LEVEL).stream_writer(cast(IO[bytes], out), closefd=False)
    with packer, tarfile.open(fileobj=packer, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(_plain_files(folder, names)):
            tar.add(path, arcname=str(path.relative_to(folder)), recursive=False, filter=_nobody)
    return out.digest.hexdigest(), out.size


def _plain_files(folder: Path, names: Collection[str]) -> Iterator[Path]:
    for name in names:
        top = folder / name
        if top.is_symlink():
            continue
        if top.is_file():
            yield top
        for parent, _, files in os.walk(top):
            yield from (p for p in (Path(parent) / file for file in files) if p.is_file() and not p.is_symlink())


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


class _Plain(tarfile.TarInfo):
    """A header that is a plain file's. All others, extended ones above all, are refused before they are read further:
    what they hold is of any size."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:  # noqa: ANN401 - tarfile's own
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise tarfile.ReadError(f"{_shown(self.name)}: no plain file")
        return super()._proc_member(archive)  # type: ignore[misc]  # typeshed does not know it


def unpack(stream: BinaryIO, target: Path, allowed: Bounds) -> int:
    """Take the files of a stream into an empty folder; how many there were. Raises BadInput for one that is damaged or
    beyond what is allowed (what came before that lies there), OSError where the disk refuses."""
    target.mkdir(parents=True, mode=0o700)
    seen, left = 0, allowed.size
    try:
        with (
            zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(stream) as plain,
            tarfile.open(fileobj=plain, mode="r|", tarinfo=_Plain) as tar,
        ):
            for info in tar:
                seen, left = seen + 1, left - info.size
                if problem := _refusal(info, allowed, seen, left):
                    raise BadInput([problem])
                _take(tar, info, target)
    except (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError) as exc:
        raise BadInput([f"the stream is damaged: {clipped(printable(str(exc)), 300)}"]) from exc
    return seen


def _refusal(info: tarfile.TarInfo, allowed: Bounds, seen: int, left: int) -> str:
    """Why a member is not taken; "" when it is."""
    parts, name = info.name.split("/"), _shown(info.name)
    if any(part in ("", ".", "..") or part.startswith(".") for part in parts) or not info.name.isprintable():
        return f"{name}: no name of a file inside a bundle"
    if parts[0] not in allowed.names:
        return f"{name}: nobody asked for it"
    if len(info.name) > bounds.PATH or len(parts) > bounds.DEPTH + 1:
        return f"{name}: too long or too deep"
    if seen > allowed.files:
        return f"more than {allowed.files} files"
    if left < 0 or info.size < 0:
        return f"more than {allowed.size // MIB} MiB"
    return ""


def _take(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path) -> None:
    path = target / info.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (FileExistsError, NotADirectoryError) as exc:
        raise BadInput([f"{_shown(info.name)}: it is there twice"]) from exc
    source, left = tar.extractfile(info), info.size
    with open(fd, "wb") as out:
        while source is not None and left > 0:
            data = source.read(min(CHUNK, left))
            if not data:
                raise BadInput([f"the stream ends inside of {_shown(info.name)}"])
            out.write(data)
            left -= len(data)


def _shown(name: str) -> str:
    return repr(clipped(printable(name), 200))
