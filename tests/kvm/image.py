# SPDX-License-Identifier: GPL-2.0-only
"""The first-level guest's disk, kernel and initrd, from package lists alone. Kept in the cache."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lab.contracts import Progress
from lab.drive.host import role_needs
from lab.errors import CommandFailed, FetchFailed
from lab.guestimage.base import ensure_base
from lab.guestimage.recipe import Recipe, load_recipe
from lab.host.commands import follow, run
from lab.host.filecache import ensure_dir, key_of, require_space
from lab.host.paths import cache_root, project_root, temporary_folder
from lab.kernels.vmlinux import extract_vmlinux
from lab.units import MIB

_MADE_AS = "1"  # raise it whenever the code below makes something else of the same input
_NEEDED = 6000 * MIB  # packages as a tar, unpacked, and as a disk
_DISK_GIB = 8  # sparse
_PYTHON = "3.11"  # of the recipe's suite

# Owners and modes are kept: the tree is a system of its own. An ordinary user does it under fakeroot.
_ASSEMBLE = """
set -eu
tar -x -p -f "$1" -C "$2" --exclude='./dev/*'
venv=$2/opt/lab
mkdir -p "$venv/bin" "$venv/lib/python$4"
cp -R "$3" "$venv/lib/python$4/site-packages"
mv "$venv/lib/python$4/site-packages/bin/"* "$venv/bin/"
sed -i '1s,^#!.*,#!/opt/lab/bin/python3,' "$venv/bin/"*
ln -s /usr/bin/python3 "$venv/bin/python3"
printf 'home = /usr/bin\\ninclude-system-site-packages = true\\n' >"$venv/pyvenv.cfg"
install -m 755 "$5/init" "$2/sbin/lab-first-level"
install -m 755 "$5/qemu" "$venv/bin/qemu-system-x86_64"
mke2fs -q -F -t ext4 -d "$2" "$6" "$7"
"""


@dataclass(frozen=True)
class FirstLevel:
    """What QEMU boots."""

    disk: Path
    kernel: Path
    initrd: Path


def ensure_first_level(progress: Progress) -> FirstLevel:
    """Made when a package list or a script has changed: some three minutes, half of them downloads.

    Raises FetchFailed, HostTrouble.
    """
    recipe, wheels, files = _recipe(), _wheels(), project_root() / "images" / "first-level"
    scripts = [(files / name).read_bytes() for name in ("init", "qemu")]
    key = key_of(_MADE_AS, recipe.model_dump_json(), *wheels, "--scripts", *scripts)
    target = cache_root() / "first-level" / key

    def make(partial: Path) -> None:
        require_space(partial, _NEEDED)
        base = ensure_base(recipe, progress)
        with temporary_folder(partial) as work:
            _fetch_wheels(wheels, work / "wheels", progress)
            progress("first-level guest: making its disk")
            tree = work / "root"
            tree.mkdir()
            words = (base / "root.tar", tree, work / "wheels", _PYTHON, files, partial / "disk.img", f"{_DISK_GIB}G")
            run([*([] if os.geteuid() == 0 else ["fakeroot"]), "sh", "-c", _ASSEMBLE, "sh", *map(str, words)])
            _keep_kernel(tree / "boot", partial)

    made = ensure_dir(target, make, progress=progress)
    return FirstLevel(made / "disk.img", made / "vmlinux", made / "initrd")


def _recipe() -> Recipe:
    """The file's packages and those that `lab setup` would install."""
    own = load_recipe(project_root() / "images" / "first-level" / "recipe.toml")
    return own.model_copy(update={"packages": (*role_needs(["hypervisor"]).packages, *own.packages)})


def _wheels() -> list[str]:
    """The lab's Python packages but libvirt's, which has to be built; the distribution did that."""
    project = tomllib.loads((project_root() / "pyproject.toml").read_text())["project"]
    return [wanted for wanted in project["dependencies"] if not wanted.startswith("libvirt-python")]


def _fetch_wheels(wanted: list[str], target: Path, progress: Progress) -> None:
    """For the first-level guest's Python, whatever this host's is."""
    progress("first-level guest: fetching Python packages")
    argv = [str(project_root() / ".venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    argv += ["--target", str(target), "--only-binary=:all:", "--implementation", "cp", "--python-version", _PYTHON]
    argv += ["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64", *wanted]
    try:
        follow(argv, on_line=lambda line: None)
    except CommandFailed as exc:
        raise FetchFailed(f"cannot fetch Python packages:\n{exc.output[-2000:]}", hint="check the network") from exc


def _keep_kernel(boot: Path, target: Path) -> None:
    """The kernel as vmlinux: under emulation unpacking a vmlinuz takes as long as half a boot."""
    image = next(boot.glob("vmlinuz-*")).read_bytes()
    (target / "vmlinux").write_bytes(extract_vmlinux(image) or image)
    (target / "initrd").write_bytes(next(boot.glob("initrd.img-*")).read_bytes())
