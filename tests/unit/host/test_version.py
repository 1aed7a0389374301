# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.host import version
from lab.host.version import described, lab_version


def git(tree: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(tree), *who, *words], check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one commit and a tag."""
    git(tmp_path, "init", "-q")
    (tmp_path / "Makefile").write_text("VERSION = 7\n")
    git(tmp_path, "add", "Makefile")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "tag", "-a", "v7.2", "-m", "v7.2")
    return tmp_path


def test_a_tree_is_described_by_its_tag_and_by_what_was_changed(tree: Path) -> None:
    assert described(tree) == "v7.2"
    (tree / "Makefile").write_text("VERSION = 8\n")
    assert described(tree) == "v7.2-dirty"


def test_a_folder_inside_a_tree_is_no_tree(tree: Path) -> None:
    (tree / "drivers").mkdir()
    assert described(tree / "drivers") == ""
    assert described(tree / "nowhere") == ""


def test_the_lab_names_its_commit(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "project_root", lambda: tree)
    lab_version.cache_clear()
    plain, _, commit = lab_version().partition("+g")
    assert plain
    assert len(commit) == 12
    lab_version.cache_clear()
    monkeypatch.setattr(version, "project_root", lambda: tree / "installed")
    assert lab_version() == plain
    lab_version.cache_clear()
