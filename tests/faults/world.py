# SPDX-License-Identifier: GPL-2.0-only
"""What one round has to itself: results, runtime and temporary folders, and a cache that may be damaged.

Large files of the cache are hard links to those of the cache it was copied from: `own` one before it is changed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.units import MIB

MARK = "LAB_FAULTS_ROUND"
"""In the environment of all that a round starts: how strays are known."""

SHARED = ("build", "ccache", "apt", "libvirt")
"""Large, and no part of a round: links to the originals."""
LEFT_OUT = ("selftests",)
"""Whole source trees; a round has a small one of its own."""
TRANSIENT = (".lock", ".partial", ".holder")


@dataclass(frozen=True)
class World:
    """The folders of one round. `root` is short: sockets lie below it."""

    root: Path
    mark: str

    @property
    def results(self) -> Path:
        return self.root / "r"

    @property
    def runtime(self) -> Path:
        return self.root / "rt"

    @property
    def temp(self) -> Path:
        return self.root / "tmp"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def env(self) -> dict[str, str]:
        """Ours, but for what points out of the round."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LAB_", "PYTEST_", "TOX_"))}
        places = {"LAB_CACHE": self.cache, "LAB_RUNTIME": self.runtime, "TMPDIR": self.temp}
        return {**kept, **{key: str(path) for key, path in places.items()}, MARK: self.mark, "COLUMNS": "160"}

    def renew(self) -> None:
        """Empty folders for another session of the same round; the cache stays."""
        for folder in (self.results, self.runtime, self.temp):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()


def new_world(base: Path) -> World:
    """Folders with a copy of a cache. The caller removes `root`."""
    mark = secrets.token_hex(4)
    world = World(Path(tempfile.mkdtemp(prefix=f"lf-{mark}-", dir="/tmp")), mark)
    world.renew()
    clone(base, world.cache)
    return world


@contextlib.contextmanager
def as_in(world: World) -> Iterator[None]:
    """The lab's own functions see the round's cache in here."""
    before = os.environ.get("LAB_CACHE")
    os.environ["LAB_CACHE"] = str(world.cache)
    try:
        yield
    finally:
        os.environ.pop("LAB_CACHE")
        if before is not None:
            os.environ["LAB_CACHE"] = before


def clone(base: Path, target: Path) -> None:
    """A copy of a cache that shares its large files, and the files of saved states, which are known by their inode."""
    target.mkdir()
    for entry in sorted(base.iterdir()) if base.is_dir() else ():
        if entry.name in SHARED:
            (target / entry.name).symlink_to(entry.resolve())
        elif not entry.name.endswith(TRANSIENT) and entry.name not in LEFT_OUT:
            _copied(entry, target / entry.name, linked=entry.name == "states")


def _copied(source: Path, target: Path, *, linked: bool) -> None:
    """Others may be at work in there: what goes away meanwhile is left out."""
    with contextlib.suppress(FileNotFoundError):
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(mode=source.stat().st_mode & 0o777)
            for entry in source.iterdir():
                if not entry.name.endswith(TRANSIENT) and ".dropped." not in entry.name:
                    _copied(entry, target / entry.name, linked=linked)
        elif linked or source.stat().st_size > MIB:
            _linked(source, target)
        else:
            shutil.copy2(source, target)


def _linked(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or another user's file
        _sparse_copy(source, target)


def _sparse_copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-p", "--sparse=always", str(source), str(target)], check=True)


def own(path: Path) -> None:
    """Make a file the round's own, so that it can be changed in place."""
    if path.stat().st_nlink > 1:
        copied = path.with_name(f"{path.name}.own")
        _sparse_copy(path, copied)
        copied.replace(path)
