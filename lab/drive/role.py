"""Gives fresh guests their role with playbooks/guest.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contracts import Address, Progress
from lab.drive.playbook import run_playbook
from lab.paths import project_root
from lab.plan.names import LinkAddress, Role
from lab.plan.nics import NicProfile
from lab.plan.selftests import LINK_DEV

# Receive buffers of both ends: the limit of a socket's queue, so that one socket can keep the emulated link busy.
COMMON_SYSCTLS = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 65536 4194304"}


@dataclass(frozen=True)
class RoleTarget:
    """One guest to be given a role. `hostkey` is the line the guest said, `role` decides whose offloads apply."""

    name: str
    role: Role
    address: Address
    hostkey: str
    link: LinkAddress


def role_vars(target: RoleTarget, nic: NicProfile) -> dict[str, Any]:
    """Variables of one host in the playbook."""
    return {
        "sysctls": {**COMMON_SYSCTLS, **dict(nic.sysctls)},
        "link_dev": LINK_DEV if nic.link != "none" else "",
        "mtu": nic.mtu,
        "offloads_off": list(nic.receiver_off if target.role == "receiver" else nic.sender_off),
        "v4": target.link.v4,
        "v6": target.link.v6,
    }


def _connection(target: RoleTarget, known_hosts: Path) -> dict[str, Any]:
    where = target.address
    known_hosts.write_text(f"[{where.host}]:{where.port} {' '.join(target.hostkey.split()[:2])}\n")
    options = (
        f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes -o ControlMaster=no -o ControlPath=none"
    )
    return {
        "ansible_host": where.host,
        "ansible_port": where.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(where.key_file),
        "ansible_ssh_common_args": options,
        "ansible_remote_tmp": "/tmp/.ansible",  # noqa: S108 - in the guest, whose /root is read-only
    }


def inventory(targets: Mapping[Role, RoleTarget], nic: NicProfile, scratch: Path) -> dict[str, Any]:
    """The inventory of one pair; writes a known_hosts file per guest into `scratch`."""
    hosts = {
        role: {**_connection(target, scratch / f"known_hosts-{role}"), **role_vars(target, nic)}
        for role, target in targets.items()
    }
    return {"guests": {"hosts": hosts}}


def give_roles(targets: Mapping[Role, RoleTarget], nic: NicProfile, scratch: Path, progress: Progress) -> None:
    """Run the playbook on all guests of a pair at once. Raises CommandFailed, HostTrouble."""
    run_playbook(
        project_root() / "playbooks" / "guest.yml",
        inventory=inventory(targets, nic, scratch),
        progress=progress,
    )
