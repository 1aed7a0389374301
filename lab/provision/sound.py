# SPDX-License-Identifier: GPL-2.0-only
"""Whether what a guest boots from is what it is recorded as: asked before a guest starts, and after one died early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.contracts import BootableKernel, GuestImage
from lab.errors import HostTrouble
from lab.host.digests import damage_of, damage_to


def unsound(
    kernel: BootableKernel, images: Sequence[GuestImage], plugin: Path | None, *, anew: bool = False
) -> tuple[str, ...]:
    """What is not as it was when it was made, as sentences that name the file. `anew`: read all of it.

    What the next session finds damaged, it drops and makes again.
    """
    wanted = {kernel.boot: kernel.sha256, kernel.initrd: kernel.initrd_sha256}
    wanted |= {image.path: image.sha256 for image in images}
    found = [damage_to(path, digest, anew=anew) for path, digest in wanted.items() if digest]
    if plugin is not None:
        found.append(damage_of(plugin.parent, anew=anew))
    return tuple(filter(None, found))


def require_sound(kernel: BootableKernel, images: Sequence[GuestImage], plugin: Path | None) -> None:
    """Raises HostTrouble that names what must not be booted."""
    if problems := unsound(kernel, images, plugin):
        raise HostTrouble("; ".join(problems), hint="run it again: a damaged file of the cache is made anew")
