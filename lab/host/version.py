# SPDX-License-Identifier: GPL-2.0-only
"""Which lab this is, and which kernel a tree holds: what git says of both."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from functools import cache
from pathlib import Path

from lab.host.paths import project_root

GIT_SECONDS = 20
"""To compare a kernel tree with its commit takes one or two; a git that takes longer is not waited for."""


@cache
def lab_version() -> str:
    """`0.1.0+g259570e1a2b3`, with `.dirty` where files differ from that commit; without it where there is no checkout.

    The commit is a local version as PEP 440 has it.
    """
    version, commit = importlib.metadata.version("lab"), _commit()
    return f"{version}+g{commit}" if commit else version


CODE = ("lab/**/*.py", "suites/**/*.py", "suites/*.toml", "playbooks/roles/guest/**/*", "images/qemu/*.[ch]")
"""What a host's part of a session follows from, beside the artefacts that it is given."""


@cache
def lab_code() -> str:
    """A hash of the code itself: two labs are the same where it is, be one a checkout and the other a copy."""
    root, digest = project_root(), hashlib.sha256()
    for path in sorted({path for pattern in CODE for path in root.glob(pattern) if path.is_file()}):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def described(tree: Path) -> str:
    """What git calls the state of a source tree, e.g. `v7.2-rc3-14-g259570e1a2b3-dirty`; "" for no tree of git."""
    return _git_describe(tree, "--always", "--abbrev=12", "--match=v*", "--dirty")


def _commit() -> str:
    return _git_describe(project_root(), "--always", "--abbrev=12", "--exclude=*", "--dirty=.dirty")


def _git_describe(tree: Path, *options: str) -> str:
    """Only of the tree itself: git would take that of a folder above."""
    if not (tree / ".git").exists():
        return ""
    argv = ["git", "-C", str(tree), "describe", *options]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""
