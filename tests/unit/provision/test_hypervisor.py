# SPDX-License-Identifier: GPL-2.0-only
"""The state of an embedded driver: what may be shared is, and what is shared outlives it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.provision import hypervisor


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_drivers_share_what_qemu_said_of_itself(cache: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two, one):
        hypervisor._embedded_uri(root)
    (one / "cache" / "said").write_text("x")
    assert (two / "cache" / "said").read_text() == "x"
    shutil.rmtree(one)  # as a session's end does
    assert (cache / "libvirt" / "said").exists()


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where a folder should be")
    assert hypervisor._embedded_uri(tmp_path / "one").endswith(str(tmp_path / "one"))
    assert not (tmp_path / "one" / "cache").exists()
