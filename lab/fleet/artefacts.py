# SPDX-License-Identifier: GPL-2.0-only
"""The files that guests are made of, on the host that has them and on the one that is given them.

What was pushed lies in the cache as `arrived/SHA256/NAME`: its own digest is its name, so nobody's word is taken.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lab.errors import BadInput, HostTrouble
from lab.fleet.orders import Artefact
from lab.host.digests import damage_to, sha256_of
from lab.host.filecache import require_space
from lab.host.paths import cache_root
from lab.plan.session import SessionPlan
from lab.units import MIB

ARRIVED = "arrived"
KEPT = timedelta(days=14)
"""What was pushed and not used for so long goes when something else arrives."""


def artefacts_of(plan: SessionPlan) -> tuple[Artefact, ...]:
    """Those of a plan on this host. Raises BadInput for one that lies outside the cache, OSError."""
    cache = cache_root()
    paths = [
        *(image.path for image in plan.images),
        *(path for kernel in plan.kernels for path in (kernel.boot, kernel.initrd)),
    ]
    if outside := [path for path in dict.fromkeys(paths) if not path.is_relative_to(cache)]:
        raise BadInput([f"{path} is not in the cache, {cache}: other hosts cannot be given it" for path in outside])
    return tuple(
        Artefact(place=str(path.relative_to(cache)), sha256=sha256_of(path), size=path.stat().st_size)
        for path in dict.fromkeys(paths)
    )


def place_of(artefact: Artefact) -> Path:
    """Where it goes when it is pushed."""
    return cache_root() / ARRIVED / artefact.sha256 / PurePosixPath(artefact.place).name


def found(artefact: Artefact) -> Path | None:
    """Where this host has it: in its own place or pushed, and as it should be."""
    for path in (cache_root() / artefact.place, place_of(artefact)):
        if path.is_file() and not damage_to(path, artefact.sha256):
            return path
    return None


def lacking(artefacts: Iterable[Artefact]) -> tuple[Artefact, ...]:
    """Those that this host does not have."""
    return tuple(artefact for artefact in artefacts if found(artefact) is None)


def with_places(plan: SessionPlan, artefacts: Sequence[Artefact]) -> SessionPlan:
    """The plan with the files where this host has them. Raises HostTrouble for what it lacks."""
    here = {cache_root() / artefact.place: found(artefact) for artefact in artefacts}
    if missing := [str(path) for path, there in here.items() if there is None]:
        raise HostTrouble(f"this host lacks {', '.join(missing)}, or has it damaged")
    for path in here.values():
        if path is not None and path.parent.parent.name == ARRIVED:
            with contextlib.suppress(OSError):
                (path.parent / "used").touch()

    def at(path: Path) -> Path:
        return here.get(path) or path

    kernels = tuple(replace(k, boot=at(k.boot), initrd=at(k.initrd)) for k in plan.kernels)
    image, *layers = (replace(image, path=at(image.path)) for image in plan.images)
    return replace(plan, kernels=kernels, image=image, layers=tuple(layers))


# -- pushed here -----------------------------------------------------------------------------------------------------


def partial_of(artefact: Artefact) -> Path:
    """What has arrived of one so far."""
    return cache_root() / ARRIVED / f"{artefact.sha256}.partial"


def begun(artefact: Artefact) -> int:
    """Bytes of one that are here already: the rest is enough."""
    with contextlib.suppress(FileNotFoundError):
        size = partial_of(artefact).stat().st_size
        return size if size <= artefact.size else 0
    return 0


@contextlib.contextmanager
def arriving(artefact: Artefact) -> Iterator[BinaryIO]:
    """A file for what comes after `begun`. At the end it is compared with its digest and gets its place.

    Raises HostTrouble when it is another file, which is not kept; FetchFailed when there is no room.
    """
    partial, offset = partial_of(artefact), begun(artefact)
    _prune()
    require_space(partial.parent, artefact.size - offset + 64 * MIB)
    with partial.open("r+b" if offset else "wb") as stream:
        stream.seek(offset)
        yield stream
    if partial.stat().st_size < artefact.size:
        return  # the rest comes another time
    if damage_to(partial, artefact.sha256, anew=True):
        partial.unlink()
        raise HostTrouble(f"{artefact.place} arrived damaged, and was not kept")
    target = place_of(artefact)
    target.parent.mkdir(exist_ok=True)
    partial.chmod(0o644)
    partial.rename(target)


def _prune() -> None:
    """What nobody has used for long goes; what is in use stays with whoever has it open."""
    for folder in (cache_root() / ARRIVED).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - max(p.stat().st_mtime for p in (folder, *folder.glob("used"))) < KEPT.total_seconds():
                continue
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink()
