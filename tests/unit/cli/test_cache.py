# SPDX-License-Identifier: GPL-2.0-only
"""`lab cache`: what it lists, and what it says of states that it has removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli import assembled
from lab.provision.states import SavedState, boot_id, folder_of, seal, stored


@pytest.fixture(autouse=True)
def a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    folder = folder_of("k1")
    folder.mkdir(parents=True)
    (folder / "receiver.ram").write_bytes(b"m" * (2 << 20))
    about = {"kernel": "6.12", "nic": "virtio", "shape": "standard", "accelerator": "tcg", "boot": boot_id()}
    seal(folder, SavedState("k1", "0123abcd", "2026-11-25", about))


def said(*words: str) -> str:
    result = CliRunner().invoke(assembled("cache"), ["cache", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_state_is_listed() -> None:
    assert "6.12  virtio  standard  tcg" in said("list")
    assert json.loads(said("list", "--json"))["key"] == "k1"


def test_a_dry_run_removes_nothing() -> None:
    assert "would remove: k1" in said("prune", "--most", "0", "--dry-run")
    assert [state.key for state in stored()] == ["k1"]


def test_less_than_nothing_is_refused() -> None:
    refused = CliRunner().invoke(assembled("cache"), ["cache", "prune", "--most", "-1"])
    assert refused.exit_code == 2
    assert [state.key for state in stored()] == ["k1"]


def test_a_state_that_is_removed_is_told() -> None:
    assert "removed: k1" in said("prune", "--most", "0")
    assert list(stored()) == []
    assert "nothing" in said("prune")
