# SPDX-License-Identifier: GPL-2.0-only
"""The part of a kernel's source that its own selftests are built from, as files that nobody changes."""

from __future__ import annotations

from pathlib import Path

from lab.contracts import Progress
from lab.errors import BadInput
from lab.host.commands import run
from lab.host.filecache import ensure_dir, require_space
from lab.host.paths import cache_root
from lab.kernels.base import Base, find_base
from lab.kernels.build import builder
from lab.kernels.catalogue import CatalogueKernel, LocalKernel, resolve
from lab.kernels.series import Series
from lab.kernels.tree import ensure_tree
from lab.units import MIB

PATHS = ("Makefile", "Kbuild", "Kconfig", "scripts", "include", "arch/x86", "tools", "usr")
_SPACE = 400 * MIB  # measured on 6.12: 162 MiB, and as much for the archive


def ensure_selftest_source(name: str, progress: Progress) -> Path:
    """The files of a kernel, by the user's name for it, that `make headers` and the selftests need.

    A distribution's kernel has the source package of its version. Raises BadInput for a kernel whose source is not
    known, LabTrouble.
    """
    (kernel,) = resolve([name])
    if isinstance(kernel, LocalKernel):
        raise BadInput([f"kernel {name}: where its source lies is not known."], hint="--source DIR, its kernel tree")
    if isinstance(kernel, CatalogueKernel):
        return exported(find_base(kernel.version), Series(), progress)
    return exported(kernel.base, kernel.series, progress)


def exported(base: Base, series: Series, progress: Progress) -> Path:
    """The files below PATHS of a base with a series on top, in a directory of their own. Raises LabError."""
    with builder(f"the selftests of {base.label}", progress):
        tree = ensure_tree(base, progress)
        commit = tree.committed(base, series)

    def make(partial: Path) -> None:
        require_space(partial, _SPACE)
        progress(f"taking the selftests out of {base.label}")
        archive = partial / "source.tar"
        tree.git("archive", f"--output={archive}", commit, "--", *PATHS)
        run(["tar", "-x", "-f", str(archive), "-C", str(partial)])
        archive.unlink()

    return ensure_dir(cache_root() / "selftests" / f"source-{commit[:20]}", make, progress=progress)
