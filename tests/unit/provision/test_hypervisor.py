# SPDX-License-Identifier: GPL-2.0-only
"""The state of an embedded driver: what may be shared is, and what is shared outlives it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import libvirt
import pytest

from lab.errors import HostTrouble
from lab.provision import hypervisor
from lab.provision.libvirt_api import Connection


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


class NoVersion:
    """A connection whose libvirt asks QEMU anew, and that QEMU is killed."""

    def getVersion(self) -> int:
        raise libvirt.libvirtError("virConnectGetVersion() failed")


def test_a_qemu_that_is_killed_while_libvirt_asks_it_is_trouble_of_the_host() -> None:
    with pytest.raises(HostTrouble, match="cannot tell the version of QEMU"):
        hypervisor._versions(cast(Connection, NoVersion()))


def test_versions_are_those_of_when_the_connection_was_made() -> None:
    opened = hypervisor.Hypervisor(cast(Connection, NoVersion()), "none", versions=(7_002_022, 9_000_000))
    assert (opened.qemu_version, opened.libvirt_version) == ("7.2.22", "9.0.0")
    assert opened.qemu < (9, 1)
