# SPDX-License-Identifier: GPL-2.0-only
"""Packages, static files and guest programs become one erofs file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.contracts import GuestImage, Progress
from lab.guestimage.base import base_dir, ensure_base
from lab.guestimage.erofs import pack
from lab.guestimage.programs import ensure_programs, programs_dir
from lab.guestimage.recipe import Recipe, load_recipe
from lab.host.commands import run
from lab.host.digests import SEAL, damage_of, sealed
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, project_root, temporary_folder

_RECIPE = "3"  # raise it whenever the code below makes something else of the same input
_MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "root/.ssh", "usr/lib/lab", "usr/lib/layer", "var/log", "var/tmp")
PROGRAMS_AT = "usr/lib/lab"
IMAGE = "userland.erofs"


def ensure_init(progress: Progress) -> Path:
    """The static `lab-init` that starts a guest; see images/guest/lab-init.c."""
    return ensure_programs(progress) / "lab-init"


def ensure_image(progress: Progress) -> GuestImage:
    """The guests' userland; made when a package list, a file or a program has changed.

    Raises BadInput (a recipe nobody understands), FetchFailed, HostTrouble.
    """
    recipe = the_recipe()
    programs = ensure_programs(progress)
    target = _image_dir(recipe)

    def make(partial: Path) -> None:
        base = ensure_base(recipe, progress)
        with temporary_folder(partial) as work:
            tree = work / "root"
            _assemble(tree, recipe, base, programs, progress)
            progress("guest image: packing")
            pack(tree, partial / IMAGE, target.name)
        shutil.copy(base / "packages.txt", partial)

    return _described(ensure_sealed(target, make, progress=progress))


def current_image() -> GuestImage | None:
    """The image that `ensure_image` would give, when it need not be made (again) first."""
    target = _image_dir(the_recipe())
    return _described(target) if target.is_dir() and not damage_of(target) else None


def the_recipe() -> Recipe:
    return load_recipe(project_root() / "images" / "recipe.toml")


def _image_dir(recipe: Recipe) -> Path:
    """Keyed by all that goes into the image."""
    parts = (base_dir(recipe).name, programs_dir().name, *recipe.remove)
    return cache_root() / "images" / key_of(_RECIPE, *parts, "--files", *_files(_overlay(), recipe.links))


def _overlay() -> Path:
    return project_root() / "images" / "rootfs"


def _described(made: Path) -> GuestImage:
    return GuestImage(made / IMAGE, sha256=sealed(made)[IMAGE], key=made.name)


def _assemble(tree: Path, recipe: Recipe, base: Path, programs: Path, progress: Progress) -> None:
    """Lay everything into `tree`. Owners and device nodes are left out: both need root, and no guest needs them."""
    progress("guest image: assembling")
    tree.mkdir()
    run(["tar", "-x", "-p", "--no-same-owner", "--exclude=./dev/*", "-f", str(base / "root.tar"), "-C", str(tree)])
    for unwanted in recipe.remove:
        _remove(tree / unwanted)
    for place in _MOUNT_POINTS:
        (tree / place).mkdir(parents=True, exist_ok=True)
    shutil.copytree(_overlay(), tree, dirs_exist_ok=True)
    for name, target in recipe.links.items():
        link = tree / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    for program in programs.iterdir():
        if program.name != SEAL:
            shutil.copy(program, tree / PROGRAMS_AT)
    for private in (tree / "root", tree / "root/.ssh"):
        private.chmod(0o700)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(overlay: Path, links: Mapping[str, str]) -> list[str | bytes]:
    """A link counts by where it leads."""
    laid: dict[Path, tuple[str, str | bytes]] = {Path(name): ("link", target) for name, target in links.items()}
    for path in overlay.rglob("*"):
        if path.is_file():
            laid[path.relative_to(overlay)] = oct(path.stat().st_mode & 0o111), path.read_bytes()
    return [part for name in sorted(laid) for part in (str(name), *laid[name])]
