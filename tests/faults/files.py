# SPDX-License-Identifier: GPL-2.0-only
"""Faults of files: live captures and plans cut, scribbled over or removed; a damaged cache; disks that fill up."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.errors import HostTrouble
from lab.host.digests import sha256_of
from lab.provision import states
from lab.units import MIB
from tests.faults.effects import Effect, NotPossibleError, effect
from tests.faults.hosts import Inject
from tests.faults.sessions import Live
from tests.faults.world import World, as_in, own

Damage = Callable[[World, random.Random], Effect]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def spoil(path: Path, how: str, rng: random.Random) -> str:
    """Change a file in place; in words. Raises NotPossibleError for an empty one."""
    size = path.stat().st_size
    if size == 0 and how != "removed":
        raise NotPossibleError(f"{path.name} is empty")
    at = _somewhere(path, size, rng)
    match how:
        case "cut":
            os.truncate(path, at)
        case "flipped":
            with path.open("r+b") as file:
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ (1 << rng.randrange(8))]))
        case "scribbled":
            with path.open("r+b") as file:
                file.seek(max(0, at - 512))
                file.write(b"\xff" * min(512, size))
        case _:
            path.unlink()
    return f"{path.name} {how} at {at} of {size}"


def _somewhere(path: Path, size: int, rng: random.Random) -> int:
    """An offset in a file, and in its data where there are holes."""
    at = rng.randrange(max(size, 1))
    with path.open("rb") as file, suppress(OSError):
        found = os.lseek(file.fileno(), at, os.SEEK_DATA)
        hole = os.lseek(file.fileno(), found, os.SEEK_HOLE)
        return rng.randrange(found, hole) if found != at else at
    return at


# -- a session at work -------------------------------------------------------------------------------------------------


def capture(name: str, how: str) -> Inject:
    """A capture of a pair that is at work."""

    def inject(live: Live, rng: random.Random) -> Effect:
        found = [p for p in live.world.results.glob(f"*/pairs/*/*/{name}") if "-dropped" not in str(p)]
        found = [path for path in found if path.stat().st_size > 0]
        if not found:
            raise NotPossibleError(f"no {name} with anything in it")
        path, began = rng.choice(sorted(found)), time.time()
        return effect(spoil(path, how, rng), began, pair=path.parent.parent.name)

    return inject


def plan(how: str) -> Inject:
    """The plan, which workers and reports read."""

    def inject(live: Live, rng: random.Random) -> Effect:
        if live.folder is None:
            raise NotPossibleError("no plan yet")
        began = time.time()
        return effect(spoil(live.folder / "plan.json", how, rng), began)

    return inject


def fill(which: str) -> Inject:
    """The last byte of the small disk that a folder lies on is taken, or all but a few."""

    def inject(live: Live, rng: random.Random) -> Effect:
        folder, began, left = getattr(live.world, which), time.time(), rng.choice((0, rng.randrange(2 * MIB)))
        if not folder.is_mount():
            raise NotPossibleError(f"{folder} is no disk of its own")
        with (folder / ".ballast").open("ab", buffering=0) as ballast:
            for size in (MIB, 1):
                with suppress(OSError):
                    while ballast.write(b"\0" * size):
                        pass
            ballast.truncate(max(0, ballast.tell() - left))
        return effect(f"{which}: {left} bytes are left", began)

    return inject


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[None]:
    """A file system in a folder of a round, with what was there and that many MiB more. For root."""
    aside = folder.with_name(f"{folder.name}.aside")
    used = sum(path.stat().st_blocks for path in _files(folder))
    mib = used * 512 // MIB + room
    folder.rename(aside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}M", "lab-faults", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", "--sparse=always", f"{aside}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        folder.rmdir()
        aside.rename(folder)


# -- a cache, before the session ---------------------------------------------------------------------------------------

PATTERNS = {
    "image": "images/*/userland.erofs",
    "layer": "layers/*/layer.erofs",
    "initrd": "initrds/*/initrd",
    "kernel": "kernels/{kernel}*/boot",
    "state-ram": "states/*/receiver.ram",
    "state-devices": "states/*/receiver.state",
    "state-record": "states/*/state.json",
    "state-sample": "states/*/saved.jsonl",
    "accelerator": "accelerator/*.json",
    "learnt": "learnt.json",
}


def cached(what: str) -> Damage:
    """Files of the cache rot: content changes, and half of the time nothing else does."""

    def damage(world: World, rng: random.Random) -> Effect:
        from tests.faults.sessions import KERNEL

        found = sorted(world.cache.glob(PATTERNS[what].format(kernel=KERNEL)))
        if not found:
            raise NotPossibleError(f"the cache has no {what}")
        began, how, rots = time.time(), rng.choice(("cut", "flipped", "scribbled")), rng.random() < 0.5
        told: list[str] = []
        for path in found:  # which of them the session takes is its own affair
            _made_own(world, path)
            was = path.stat()
            told.append(spoil(path, how, rng))
            if rots:
                os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        words = f"{told[-1]}{', its times kept' if rots else ''}"
        return effect(words, began, damaged=tuple((str(path), digest(path)) for path in found))

    return damage


def _made_own(world: World, path: Path) -> None:
    """Ours to damage, and known to the cache as it is: a state by its stamps, the others by their remembered hash."""
    with as_in(world):
        if path.parent.parent.name != "states":
            own(path)
            sha256_of(path)
            return
        state = None
        with suppress(HostTrouble):  # one that a lab of another version made: of no use to this one
            state = states.find(path.parent.name)
        for file in path.parent.iterdir():
            if file.is_file():
                own(file)
        if state is not None:
            states.seal(path.parent, state)


def _files(folder: Path) -> Iterator[Path]:
    """Those that lie in a folder itself, not behind a link."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file() and not entry.is_symlink():
            yield entry
