# SPDX-License-Identifier: GPL-2.0-only
"""A tree of two files of 30 lines, three patches on it, and what `git am` makes of a file beside what the lab makes."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.kernels.base import Base
from lab.kernels.series import Series, mbox
from lab.kernels.tree import Tree
from tests.unit.kernels.sourcetree import git

CORPUS = Path(__file__).parents[2] / "corpus" / "series"
LINES = "".join(f"{n}\n" for n in range(1, 31))
_WHO = {f"GIT_COMMITTER_{what}": "a@b" for what in ("NAME", "EMAIL")} | {"GIT_CONFIG_GLOBAL": "/dev/null"}


@dataclass(frozen=True)
class Trees:
    """Where both apply what they are given."""

    root: Path
    base: str
    tip: str
    patches: tuple[bytes, bytes, bytes]

    def ours(self, series: Series) -> str:
        """The tree that the lab makes of a series. Raises BadInput."""
        spec = Base("b", "git", "b", self.base, str(self.root), self.base)
        commit = Tree(self.root).committed(spec, series)
        return self._tree(commit)

    def am(self, data: bytes, *options: str) -> str:
        """The tree that `git am` makes of a file, "" where it refuses."""
        return self._made("am", "-q", *options, data=data)

    def apply(self, data: bytes, *options: str) -> str:
        """The tree that `git apply` makes of a file, "" where it refuses."""
        return self._made("apply", "--index", *options, data=data)

    def again(self, series: Series) -> str:
        """The tree that `git am` makes of what the lab keeps of a series."""
        return self.am(mbox(series))

    def _made(self, *argv: str, data: bytes) -> str:
        shutil.rmtree(self.root / ".git" / "rebase-apply", ignore_errors=True)
        git(self.root, "reset", "-q", "--hard", self.base)
        done = subprocess.run(
            ["git", *argv], cwd=self.root, env=os.environ | _WHO, input=data, capture_output=True, check=False
        )
        return "" if done.returncode else git(self.root, "write-tree").strip()

    def _tree(self, commit: str) -> str:
        return git(self.root, "rev-parse", f"{commit}^{{tree}}").strip()


def make_trees(root: Path) -> Trees:
    """The repository, its base checked out."""
    for name in ("net/core.c", "mm/memcg.c"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(LINES)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "base")
    base = git(root, "rev-parse", "HEAD").strip()
    for name, old, new, subject in (
        ("net/core.c", "\n5\n", "\nfive\n", "net: one"),
        ("mm/memcg.c", "\n5\n", "\nFIVE\n", "mm: two"),
        ("net/core.c", "\nfive\n", "\nV\n", "net: three"),
    ):
        (root / name).write_text((root / name).read_text().replace(old, new))
        git(root, "commit", "-q", "-a", "-m", f"{subject}\n\nWhy: it is {subject}.")
    files = git(root, "format-patch", "-3", "-o", str(root.parent / "plain")).split()
    one, two, three = (Path(f).read_bytes() for f in files)
    tip = git(root, "rev-parse", "HEAD").strip()
    return Trees(root, base, tip, (one, two, three))
