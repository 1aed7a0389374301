# SPDX-License-Identifier: GPL-2.0-only
"""The settings of both ends of a profile, and a real Ansible that writes them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab.drive import role as role_module
from lab.drive.role import ensure_settings, role_vars, settings_in
from lab.errors import HostTrouble
from lab.host.paths import project_root
from lab.plan.names import ROLES
from lab.plan.nics import NICS


@pytest.mark.parametrize("nic", NICS)
def test_each_end_gets_the_offloads_and_the_mtu_of_the_profile(nic: str) -> None:
    profile = NICS[nic]
    receiver, sender = (role_vars(role, profile) for role in ROLES)
    assert receiver["offloads_off"] == list(profile.receiver_off)
    assert sender["offloads_off"] == list(profile.sender_off)
    assert receiver["mtu"] == sender["mtu"] == profile.mtu
    assert dict(profile.sysctls).items() <= receiver["sysctls"].items()
    assert receiver["has_link"] is (profile.link != "none")


def test_one_playbook_writes_what_every_profile_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    stages: list[str] = []
    for profile in NICS.values():
        written = ensure_settings(profile, stages.append)
        for role, off in (("receiver", profile.receiver_off), ("sender", profile.sender_off)):
            settings = written["receiver" if role == "receiver" else "sender"]
            assert "sysctl net/ipv4/tcp_rmem 4096 131072 6291456" in settings
            assert {f"sysctl {key.replace('.', '/')} {value}" for key, value in profile.sysctls} <= set(settings)
            assert [s for s in settings if s.startswith("off ")] == [f"off {feature}" for feature in off]
            assert [s for s in settings if s.startswith("mtu ")] == ([f"mtu {profile.mtu}"] if profile.module else [])
    assert stages.count("writing the guests' settings") == 1, "no pair may wait for Ansible again"


def test_a_profile_that_was_changed_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    assert "mtu 65535" in ensure_settings(NICS["virtio"], print)["receiver"]
    assert "mtu 9000" in ensure_settings(replace(NICS["virtio"], mtu=9000), print)["receiver"]


def test_a_playbook_that_fails_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    shutil.copytree(project_root() / "playbooks", tmp_path / "playbooks")
    monkeypatch.setattr(role_module, "project_root", lambda: tmp_path)
    (tmp_path / "playbooks" / "roles" / "guest" / "templates" / "settings.j2").write_text("{{ nothing_of_that_name }}")
    with pytest.raises(HostTrouble, match=r"localhost: .*nothing_of_that_name"):
        ensure_settings(NICS["virtio"], print)
    assert not [path for path in (tmp_path / "cache" / "settings").iterdir() if path.suffix != ".lock"]


TEXT = "virtio receiver mtu 65535\nvirtio sender mtu 65535\nvirtio sender off tso\nvirtio-mrg sender mtu 9\n"


def test_each_end_finds_its_own_lines() -> None:
    assert settings_in(TEXT, NICS["virtio"]) == {"receiver": ("mtu 65535",), "sender": ("mtu 65535", "off tso")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "virtio sender mtu 65535\n",
        TEXT + "virtio sender sysctl net/x " + "1" * 200 + "\n",
        TEXT + "virtio sender mtu\t9\n",
    ],
)
def test_an_end_without_settings_or_with_some_no_guest_takes_is_trouble(text: str) -> None:
    with pytest.raises(HostTrouble, match=r"(sender|receiver) of virtio"):
        settings_in(text, NICS["virtio"])
