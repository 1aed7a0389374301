# SPDX-License-Identifier: GPL-2.0-only
"""Fetch a kernel package and keep the few files of it that a guest needs. Nothing is installed, no root is needed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from lab.contracts import Progress
from lab.host.filecache import ensure_sealed, require_space
from lab.host.paths import temporary_folder
from lab.kernels import modules
from lab.kernels.catalogue import CatalogueKernel, unpacked_dir
from lab.kernels.deb import Deb, unpacked
from lab.kernels.vmlinux import extract_vmlinux
from lab.units import MIB

_SPARE = 200 * MIB  # the unpacked vmlinux, and room to breathe


def ensure_fetched(kernel: CatalogueKernel, progress: Progress) -> Path:
    """Directory with `vmlinuz`, `boot` (what QEMU gets), `config`, `modules/` and `kernel.json`.

    Raises FetchFailed.
    """
    target = unpacked_dir(kernel.release, kernel.version)

    def make(partial: Path) -> None:
        require_space(partial, kernel.size + kernel.installed_size + _SPARE)
        with temporary_folder(partial) as work:
            deb = Deb(kernel.package, kernel.version, kernel.size, kernel.deb_sha256)
            _keep(kernel.release, unpacked(deb, work, progress), partial)

    return ensure_sealed(target, make, progress=progress)


def _keep(release: str, root: Path, target: Path) -> None:
    """Move the needed files out of an unpacked package."""
    shutil.move(root / "boot" / f"vmlinuz-{release}", target / "vmlinuz")
    shutil.move(root / "boot" / f"config-{release}", target / "config")
    lib = next(d / release for d in (root / "lib/modules", root / "usr/lib/modules") if (d / release).is_dir())
    kept = target / "modules"
    kept.mkdir()
    for module in {s.module.name: s.module for s in modules.plan_loading(modules.finder(lib))}.values():
        (kept / f"{module.name}.ko").write_bytes(module.data)
    shutil.copy(lib / "modules.builtin", kept)
    image = (target / "vmlinuz").read_bytes()
    boot = extract_vmlinux(image)
    (target / "boot").write_bytes(boot or image)
    (target / "kernel.json").write_text(
        json.dumps(
            {
                "release": release,
                "sha256": hashlib.sha256(boot or image).hexdigest(),
                "config_sha256": hashlib.sha256((target / "config").read_bytes()).hexdigest(),
                "pvh": boot is not None,
            },
            indent=1,
        )
    )
