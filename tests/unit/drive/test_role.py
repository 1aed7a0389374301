"""What Ansible is told about the guests of a pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.contracts import Address
from lab.drive.role import RoleTarget, inventory, role_vars
from lab.plan.names import ROLES, Role, link_address
from lab.plan.nics import NICS


def target(role: Role, port: int = 2201) -> RoleTarget:
    address = Address("127.0.0.1", port, Path("/keys/user"))
    return RoleTarget(f"lab-x-{role}", role, address, "ssh-ed25519 AAAA comment", link_address("x", role))


@pytest.mark.parametrize("nic", NICS)
def test_each_end_gets_the_offloads_and_the_mtu_of_the_profile(nic: str) -> None:
    profile = NICS[nic]
    receiver, sender = (role_vars(target(role), profile) for role in ROLES)
    assert receiver["offloads_off"] == list(profile.receiver_off)
    assert sender["offloads_off"] == list(profile.sender_off)
    assert receiver["mtu"] == sender["mtu"] == profile.mtu
    assert dict(profile.sysctls).items() <= receiver["sysctls"].items()
    assert (receiver["link_dev"] == "") is (profile.link == "none")


def test_each_host_is_known_by_the_key_it_said(tmp_path: Path) -> None:
    hosts = inventory({"receiver": target("receiver", 1), "sender": target("sender", 2)}, NICS["virtio"], tmp_path)
    for role, port in (("receiver", 1), ("sender", 2)):
        host = hosts["guests"]["hosts"][role]
        assert host["ansible_port"] == port
        known = tmp_path / f"known_hosts-{role}"
        assert str(known) in host["ansible_ssh_common_args"]
        assert "StrictHostKeyChecking=yes" in host["ansible_ssh_common_args"]
        assert known.read_text() == f"[127.0.0.1]:{port} ssh-ed25519 AAAA\n"
