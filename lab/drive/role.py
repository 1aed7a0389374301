# SPDX-License-Identifier: GPL-2.0-only
"""What makes a guest the receiver or the sender of a NIC profile: its settings, which playbooks/guest.yml writes.

Ansible runs once for all profiles and keeps what it wrote in the cache. lab-init makes the settings itself, while its
guest boots (images/guest/lab-init-settle.c): a playbook for each pair took longer than the boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.contracts import Progress
from lab.drive.playbook import LOCALHOST, run_playbook
from lab.errors import HostTrouble
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, project_root
from lab.plan.names import ROLES, Role
from lab.plan.nics import NICS, NicProfile

# Receive buffers of both ends: the limit of a socket's queue, so that one socket can keep the emulated link busy.
COMMON_SYSCTLS = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 65536 4194304"}

FILE = "settings"
LONGEST = 200
"""Characters of a setting: images/guest/lab-init-settle.c tells of it in one line."""


def role_vars(role: Role, nic: NicProfile) -> dict[str, Any]:
    """What the playbook is told of one end of a profile."""
    return {
        "profile": nic.name,
        "role": role,
        "sysctls": {**COMMON_SYSCTLS, **dict(nic.sysctls)},
        "has_link": nic.link != "none",
        "mtu": nic.mtu,
        "offloads_off": list(nic.receiver_off if role == "receiver" else nic.sender_off),
    }


def ensure_settings(nic: NicProfile, progress: Progress) -> dict[Role, tuple[str, ...]]:
    """The settings of both ends, each a line of images/guest/lab-init-settle.c; written by Ansible where they are not
    in the cache. Raises HostTrouble."""
    ends = [role_vars(role, profile) for profile in {**NICS, nic.name: nic}.values() for role in ROLES]

    def make(partial: Path) -> None:
        progress("writing the guests' settings")
        run_playbook(
            _playbooks() / "guest.yml",
            inventory=LOCALHOST,
            extra_vars={"ends": ends, "settings_file": str(partial / FILE)},
            progress=progress,
        )

    folder = ensure_sealed(cache_root() / "settings" / _key(ends), make, progress=progress)
    return settings_in((folder / FILE).read_text(), nic)


def _key(ends: list[dict[str, Any]]) -> str:
    """Of all that the playbook makes of them."""
    recipe = [_playbooks() / "guest.yml", *sorted((_playbooks() / "roles" / "guest").rglob("*"))]
    return key_of(repr(ends), *(path.read_bytes() for path in recipe if path.is_file()))


def settings_in(text: str, nic: NicProfile) -> dict[Role, tuple[str, ...]]:
    """Of lines `PROFILE ROLE SETTING`, those of one profile. Raises HostTrouble where an end has none, or one that
    lab-init would not take as it is."""
    found: Mapping[Role, list[str]] = {role: [] for role in ROLES}
    for role in ROLES:
        prefix = f"{nic.name} {role} "
        found[role].extend(line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix))
        if not found[role] or any(len(line) > LONGEST or not line.isprintable() for line in found[role]):
            raise HostTrouble(f"the playbook wrote no settings for the {role} of {nic.name}, or some no guest can take")
    return {role: tuple(lines) for role, lines in found.items()}


def _playbooks() -> Path:
    return project_root() / "playbooks"
