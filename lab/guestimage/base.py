# SPDX-License-Identifier: GPL-2.0-only
"""The distribution's part of the image, as a tar file. Made by mmdebstrap, as root or as an ordinary user."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, FetchFailed, HostTrouble
from lab.guestimage.recipe import Recipe
from lab.host.commands import follow
from lab.host.filecache import MOVE_CACHE, ensure_sealed, key_of, require_space
from lab.host.paths import cache_root
from lab.units import MIB

_NEEDED = 1500 * MIB


def ensure_base(recipe: Recipe, progress: Progress) -> Path:
    """Directory with `root.tar` and `packages.txt`, the versions that went into it. Raises FetchFailed, HostTrouble."""

    def make(partial: Path) -> None:
        require_space(partial, _NEEDED)
        progress("guest image: fetching packages")
        try:
            follow(mmdebstrap_argv(recipe, partial / "root.tar"), on_line=lambda line: _tell(line, progress))
        except CommandFailed as exc:
            raise explained(exc) from exc
        (partial / "packages.txt").write_text("\n".join(_packages(partial / "root.tar")) + "\n")

    return ensure_sealed(base_dir(recipe), make, progress=progress)


def base_dir(recipe: Recipe) -> Path:
    """Where the packages of a recipe lie; complete when it exists."""
    key = key_of(recipe.suite, *recipe.packages, "--exclude", *recipe.exclude)
    return cache_root() / "images" / f"base-{key}"


def mmdebstrap_argv(recipe: Recipe, target: Path) -> list[str]:
    """LAB_MIRROR replaces the distribution's own servers."""
    mirror = os.environ.get("LAB_MIRROR")
    return [
        "mmdebstrap",
        "--mode=auto",
        "--variant=essential",
        "--format=tar",
        '--aptopt=Acquire::Retries "3"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.exclude),
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        str(target),
        *([mirror] if mirror else []),
    ]


def parse_status(text: str) -> list[str]:
    """`name version` of each package in a dpkg status file."""
    names = re.findall(r"^Package: (.+)$", text, re.MULTILINE)
    versions = re.findall(r"^Version: (.+)$", text, re.MULTILINE)
    return sorted(f"{name} {version}" for name, version in zip(names, versions, strict=True))


def _packages(tar: Path) -> list[str]:
    with tarfile.open(tar) as archive:
        status = archive.extractfile("./var/lib/dpkg/status")
        return parse_status(status.read().decode()) if status else []


def _tell(line: str, progress: Progress) -> None:
    if line.startswith("I: "):
        progress(f"guest image: {line.removeprefix('I: ').rstrip('.')}")


def explained(error: CommandFailed) -> FetchFailed | HostTrouble:
    """Whose fault it is, in mmdebstrap's own last words and without its long command line."""
    text = error.output
    said = [line for line in text.splitlines() if line.startswith("E: ") and "failed to run" not in line]
    reason = "cannot make the guest image:\n" + "\n".join(said[-4:] or text.splitlines()[-10:])
    if "No space left" in text:
        return FetchFailed(reason, hint=MOVE_CACHE)
    if "unable to pick chroot mode" in text or "cannot unshare" in text:
        return HostTrouble(reason, hint="install fakechroot and fakeroot, or run as root: this user can make no root")
    return FetchFailed(reason, hint="check the network; LAB_MIRROR=URL takes the packages from another mirror")
