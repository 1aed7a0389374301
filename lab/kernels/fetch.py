# SPDX-License-Identifier: GPL-2.0-only
"""Fetch a kernel's packages and keep the few files that a guest needs. Nothing is installed, no root is needed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.contracts import Progress
from lab.errors import FetchFailed
from lab.host.filecache import ensure_sealed, require_space
from lab.host.paths import temporary_folder
from lab.kernels import modules
from lab.kernels.deb import unpacked
from lab.kernels.stock import CatalogueKernel, unpacked_dir
from lab.kernels.vmlinux import extract_vmlinux
from lab.units import MIB

_SPARE = 200 * MIB  # the unpacked vmlinux, and room to breathe


def ensure_fetched(kernel: CatalogueKernel, progress: Progress) -> Path:
    """Directory with `vmlinuz`, `boot` (what QEMU gets), `config`, `modules/` and `kernel.json`.

    A bare kernel has neither config nor modules. Raises FetchFailed.
    """
    target = unpacked_dir(kernel.release, kernel.version, kernel.mark)

    def make(partial: Path) -> None:
        if not kernel.parts:
            raise FetchFailed(f"nobody offers {kernel.package} {kernel.version} any more", hint="lab kernels --refresh")
        require_space(partial, kernel.size + kernel.installed_size + _SPARE)
        with temporary_folder(partial) as work:
            for part in kernel.parts:
                root = unpacked(part, work, progress)
            debs = [{"package": p.package, "version": p.version, "sha256": p.sha256} for p in kernel.parts]
            keep(kernel.release, root, partial, {"archive": kernel.archive, "is_bare": kernel.is_bare, "debs": debs})

    return ensure_sealed(target, make, progress=progress)


def keep(release: str, root: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Move the needed files out of what packages were unpacked to. Raises FetchFailed when there is no kernel in it."""
    libs = [lib for lib in (root / "lib/modules" / release, root / "usr/lib/modules" / release) if lib.is_dir()]
    places = [root / "boot", *libs]
    image = _first(places, f"vmlinuz-{release}", "vmlinuz")
    if image is None:
        raise FetchFailed(f"the packages of {release} hold no vmlinuz", hint="lab kernels")
    shutil.move(image, target / "vmlinuz")
    config, builtin = _first(places, f"config-{release}", "config"), _first(libs, "modules.builtin")
    if config is not None:
        shutil.move(config, target / "config")
    if builtin is not None:
        _keep_modules(libs, builtin, target / "modules")
    data = (target / "vmlinuz").read_bytes()
    boot = extract_vmlinux(data)
    (target / "boot").write_bytes(boot or data)
    record = {
        "release": release,
        "sha256": hashlib.sha256(boot or data).hexdigest(),
        "config_sha256": hashlib.sha256((target / "config").read_bytes()).hexdigest() if config else "",
        "pvh": boot is not None,
        **facts,
    }
    (target / "kernel.json").write_text(json.dumps(record, indent=1))


def _keep_modules(libs: list[Path], builtin: Path, kept: Path) -> None:
    """Those that a guest may need, unpacked, and the list of what is no module."""
    kept.mkdir()
    lib = libs[0]
    for other in libs[1:]:
        shutil.copytree(other, lib, symlinks=True, dirs_exist_ok=True)
    data = builtin.read_bytes()
    (lib / "modules.builtin").write_bytes(data)
    for module in {s.module.name: s.module for s in modules.plan_loading(modules.finder(lib))}.values():
        (kept / f"{module.name}.ko").write_bytes(module.data)
    (kept / "modules.builtin").write_bytes(data)


def _first(places: list[Path], *names: str) -> Path | None:
    return next((place / name for place in places for name in names if (place / name).is_file()), None)
