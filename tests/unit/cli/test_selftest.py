# SPDX-License-Identifier: GPL-2.0-only
"""`lab selftest` on bad input, before anything is fetched or booted; and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Lab
from tests.unit.selftests.tree import small_tree


def test_all_problems_at_once(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    tree = small_tree(tmp_path / "linux")
    told = lab("selftest", "demoo", "demo/scrip", "--source", tree, "--nic", "virtoi", "--timeout", "-3")
    assert told.exit_code == 2
    for part in ("4 problems", "'demoo'; close: demo", "'scrip'; close: demo/script.sh", "'virtoi'", "--timeout"):
        assert part in told.stderr
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "cache").exists()


def test_a_source_must_be_a_kernel_tree(lab: Lab, tmp_path: Path) -> None:
    no_tree = lab("selftest", "cgroup", "--source", tmp_path)
    assert no_tree.exit_code == 2
    assert "it has no tools/testing/selftests/lib.mk" in no_tree.stderr
