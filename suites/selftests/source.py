# SPDX-License-Identifier: GPL-2.0-only
"""The source tree that a kernel's selftests come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.host.commands import run
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from suites.selftests.table import SELFTESTS

_RECIPE = "2"  # raise it whenever programs are built in another way


@dataclass(frozen=True)
class SourceTree:
    """A kernel's source, which is only read, and where what is built from it goes."""

    root: Path
    version: str

    @property
    def selftests(self) -> Path:
        return self.root / SELFTESTS

    @property
    def objects(self) -> Path:
        return cache_root() / "selftests" / key_of(_RECIPE, str(self.root))

    def fits(self, release: str) -> bool:
        """Whether a kernel of this `uname -r` may have been built from it."""
        rest = release.removeprefix(self.version)
        return rest != release and not rest[:1].isdigit()


def source_tree(given: Path) -> SourceTree:
    """The source that lies there. Raises BadInput."""
    root = given.expanduser().resolve()
    if not (root / SELFTESTS / "lib.mk").is_file():
        raise BadInput(
            [f"{given}: it has no {SELFTESTS}/lib.mk"], hint="--source: the top of a kernel tree, 5.0 or later"
        )
    return SourceTree(root, run(["make", "-s", "-C", str(root), "kernelversion"]).decode().strip())
