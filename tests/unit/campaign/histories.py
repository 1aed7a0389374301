# SPDX-License-Identifier: GPL-2.0-only
"""Small git histories with a merge."""

from __future__ import annotations

from pathlib import Path

from tests.unit.kernels.sourcetree import git, repository


def commit(root: Path, subject: str, more: str = "") -> str:
    """A commit that changes one file of its own."""
    (root / f"{subject}.c").write_text(f"int {subject};\n")
    git(root, "add", "--force", "--all")
    git(root, "commit", "-q", "-m", f"{subject}\n\n{more}")
    return git(root, "rev-parse", "HEAD").strip()


def forked(root: Path) -> Path:
    """start, one, two, {three, four} and {side, side2}, merge, last: on `main`, with a tag at the start."""
    root.mkdir(parents=True)
    repository(root)
    git(root, "tag", "start")
    commit(root, "one")
    commit(root, "two", 'Fixes: 0123456789ab ("older")\n')
    git(root, "checkout", "-q", "-b", "aside")
    commit(root, "side")
    commit(root, "side2")
    git(root, "checkout", "-q", "main")
    commit(root, "three")
    commit(root, "four")
    git(root, "merge", "-q", "--no-ff", "-m", "merge", "aside")
    commit(root, "last")
    return root
