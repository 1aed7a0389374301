# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import shutil

import pytest
import yaml

from lab.drive import host
from lab.guestimage.__main__ import PARTS
from lab.host.paths import project_root


def test_the_role_says_what_is_wanted() -> None:
    needs = host.role_needs(["hypervisor"])
    assert {"qemu-system-x86", "mmdebstrap", "erofs-utils", "gcc", "make"} <= set(needs.packages)
    assert needs.users == ("libvirt-qemu",)
    assert "chromium" in host.role_needs(["hypervisor", "browser"]).packages


def test_only_fully_installed_packages_count() -> None:
    listing = "gcc installed\nmake config-files\ntini unpacked\n"
    assert host.not_installed(["gcc", "make", "tini", "never-heard-of"], listing) == ("make", "tini", "never-heard-of")


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="this host has no dpkg")
def test_dpkg_is_asked_for_all_at_once() -> None:
    assert host.missing_packages(["dpkg", "no-such-package-anywhere"]) == ("no-such-package-anywhere",)


def test_needs_are_told_in_words() -> None:
    assert not host.Needs((), ())
    assert str(host.Needs(("gcc",), ("libvirt-qemu",))) == "gcc, system user libvirt-qemu"


def test_the_image_is_made_of_parts_that_there_are() -> None:
    tasks = yaml.safe_load((project_root() / "playbooks/roles/guest_image/tasks/main.yml").read_text())
    named = [task["ansible.builtin.command"]["argv"][-1] for task in tasks]
    assert set(named) <= PARTS.keys()
    assert named[-1] == "image"
