# SPDX-License-Identifier: GPL-2.0-only
"""What Ansible is told about the guests of a pair, and a real Ansible that gives roles to SSH servers of ours."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.drive import role as role_module
from lab.drive.role import RoleTarget, Seat, inventory, role_giver, role_vars
from lab.errors import HostTrouble
from lab.host.paths import project_root
from lab.plan.names import ROLES, Role, link_address
from lab.plan.nics import NICS
from tests.unit.drive.server import SshServer, ssh_server


def link(role: Role) -> tuple[Role, Seat]:
    return role, Seat(link_address("x", role), Path("/keys/user"))


@pytest.mark.parametrize("nic", NICS)
def test_each_end_gets_the_offloads_and_the_mtu_of_the_profile(nic: str) -> None:
    profile = NICS[nic]
    receiver, sender = (role_vars(role, link_address("x", role), profile) for role in ROLES)
    assert receiver["offloads_off"] == list(profile.receiver_off)
    assert sender["offloads_off"] == list(profile.sender_off)
    assert receiver["mtu"] == sender["mtu"] == profile.mtu
    assert dict(profile.sysctls).items() <= receiver["sysctls"].items()
    assert (receiver["link_dev"] == "") is (profile.link == "none")
    assert receiver["v4"] != sender["v4"]


def test_no_host_is_believed_but_the_one_with_the_key_it_said(tmp_path: Path) -> None:
    hosts = inventory(dict(map(link, ROLES)), NICS["virtio"], tmp_path)["guests"]["hosts"]
    for role in ROLES:
        assert str(tmp_path / f"known_hosts-{role}") in hosts[role]["ansible_ssh_common_args"]
        assert "StrictHostKeyChecking=yes" in hosts[role]["ansible_ssh_common_args"]
        assert hosts[role]["told_port"] == str(tmp_path / f"port-{role}")


@pytest.fixture
def playbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the playbooks whose role touches no sysctl of this host; returns the path of that role's script."""
    shutil.copytree(project_root() / "playbooks", tmp_path / "playbooks")
    monkeypatch.setattr(role_module, "project_root", lambda: tmp_path)
    script = tmp_path / "playbooks" / "roles" / "guest" / "templates" / "role.sh.j2"
    script.write_text(f"set -e\necho {{{{ v4 }}}} {{{{ mtu }}}} >>{tmp_path}/given\necho role-set\n")
    return script


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[dict[Role, SshServer]]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with ssh_server(tmp_path / "one") as receiver, ssh_server(tmp_path / "two") as sender:
        for guest in (receiver, sender):
            guest.address.key_file.chmod(0o600)  # OpenSSH insists
        yield {"receiver": receiver, "sender": sender}


def target(role: Role, guest: SshServer) -> RoleTarget:
    return RoleTarget(f"lab-x-{role}", role, guest.address, guest.hostkey, link_address("x", role))


def seats(guests: dict[Role, SshServer]) -> dict[Role, Seat]:
    return {role: Seat(link_address("x", role), guest.address.key_file) for role, guest in guests.items()}


def test_the_playbook_may_start_before_its_guests(
    playbooks: Path, guests: dict[Role, SshServer], tmp_path: Path
) -> None:
    stages: list[str] = []
    waits = threading.Event()

    def progress(stage: str) -> None:
        stages.append(stage)
        if "Wait until the guest is ready" in stage:
            waits.set()

    with role_giver(seats(guests), NICS["virtio"], tmp_path / "scratch", progress) as giver:
        assert waits.wait(60)
        assert not (tmp_path / "given").exists()
        assert list((tmp_path / "scratch").glob("lab-*")), "elsewhere they stay when this process is killed"
        giver.give({role: target(role, guest) for role, guest in guests.items()})
        given = sorted((tmp_path / "given").read_text().splitlines())
        assert given == sorted(f"{link_address('x', role).v4} 65535" for role in ROLES)
    assert not (tmp_path / "scratch").exists()


def test_a_role_that_fails_names_guest_and_words(
    playbooks: Path, guests: dict[Role, SshServer], tmp_path: Path
) -> None:
    playbooks.write_text("echo no such device >&2\n{{ 'exit 7' if mtu else '' }}\necho role-set\n")
    with (
        pytest.raises(HostTrouble, match=r"receiver: .*no such device"),
        role_giver(seats(guests), NICS["virtio"], tmp_path / "scratch", print) as giver,
    ):
        giver.give({role: target(role, guest) for role, guest in guests.items()})


def test_a_pair_that_never_comes_leaves_no_playbook(playbooks: Path, tmp_path: Path) -> None:
    """The guests died before they had a port: nobody may be reached in their place, and Ansible must go."""
    nobody: dict[Role, Seat] = {"receiver": Seat(link_address("x", "receiver"), tmp_path / "no-key")}
    waits = threading.Event()
    with role_giver(nobody, NICS["virtio"], tmp_path / "scratch", lambda _: waits.set()):
        assert waits.wait(60)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert not [thread for thread in threading.enumerate() if thread.name == "roles"]
    assert not (tmp_path / "given").exists()
