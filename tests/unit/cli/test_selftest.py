# SPDX-License-Identifier: GPL-2.0-only
"""`lab selftest` on bad input, before anything is fetched or booted; and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.selftest import code_of
from lab.report.selftest import SelftestResult
from lab.verdict.model import Word
from lab.verdict.selftest import SelftestVerdict
from tests.unit.cli.conftest import Lab
from tests.unit.selftests.tree import small_tree
from tests.unit.verdict.test_selftest import record


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


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", 0),
        ("PASS SKIP", 0),
        ("PASS FAIL", 1),
        ("FAIL ERROR", 3),
        ("PASS MISS", 3),
    ],
)
def test_exit_codes(words: str, code: int) -> None:
    results = [SelftestResult(record(), SelftestVerdict(Word(word), (), ()), "b") for word in words.split()]
    assert code_of(results) == code
