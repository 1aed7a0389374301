# SPDX-License-Identifier: GPL-2.0-only
"""Makes this host fit with playbooks/hypervisor.yml and image.yml, and tells beforehand what is missing."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pwd import getpwall

import yaml

from lab.contracts import Progress
from lab.drive.playbook import LOCALHOST, run_playbook
from lab.errors import HostTrouble
from lab.host.commands import missing
from lab.host.paths import project_root

_PLAYBOOKS = project_root() / "playbooks"


@dataclass(frozen=True)
class Needs:
    """Packages and system users: what roles want, or what of it this host lacks."""

    packages: tuple[str, ...]
    users: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.packages or self.users)

    def __str__(self) -> str:
        return ", ".join([*self.packages, *(f"system user {user}" for user in self.users)])


def lacking(roles: Sequence[str]) -> Needs:
    """What roles would install on this host. System users are needed only where the lab itself runs as root."""
    wanted = role_needs(roles)
    known = {entry.pw_name for entry in getpwall()}
    users = [user for user in wanted.users if user not in known] if os.geteuid() == 0 else []
    return Needs(missing_packages(wanted.packages), tuple(users))


def role_needs(roles: Sequence[str]) -> Needs:
    """Read from vars/main.yml of each role: ROLE_packages and, where there is one, ROLE_users."""
    packages: list[str] = []
    users: list[str] = []
    for role in roles:
        variables = yaml.safe_load((_PLAYBOOKS / "roles" / role / "vars" / "main.yml").read_text())
        packages += variables[f"{role}_packages"]
        users += variables.get(f"{role}_users", [])
    return Needs(tuple(packages), tuple(users))


def missing_packages(wanted: Sequence[str]) -> tuple[str, ...]:
    """Those that are not installed on this host. Raises HostTrouble where there is no dpkg."""
    argv = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *wanted]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)  # status 1: some name is unknown
    except FileNotFoundError as exc:
        raise missing(argv[0]) from exc
    return not_installed(wanted, done.stdout)


def not_installed(wanted: Sequence[str], listing: str) -> tuple[str, ...]:
    """Of lines `NAME STATUS`; a package that is not listed is not installed."""
    installed = {
        name for name, _, status in (line.partition(" ") for line in listing.splitlines()) if status == "installed"
    }
    return tuple(name for name in wanted if name not in installed)


def install(needs: Needs, *, also: Sequence[str] = (), progress: Progress) -> None:
    """Run the hypervisor playbook on this host, with some roles more.

    Raises HostTrouble, also when root rights cannot be had silently.
    """
    root = os.geteuid() == 0
    if not root and not _may_sudo():
        raise HostTrouble(
            f"installing packages needs root, and {getpass.getuser()} cannot use sudo without a password",
            hint=f"sudo apt-get install --no-install-recommends {' '.join(needs.packages)}",
        )
    run_playbook(
        _PLAYBOOKS / "hypervisor.yml",
        inventory=LOCALHOST,
        extra_vars={"lab_become": not root, **{f"with_{role}": True for role in also}},
        progress=progress,
    )


def build_image(progress: Progress) -> None:
    """Run the image playbook on this host. Raises HostTrouble."""
    variables = {"lab_python": sys.executable, "lab_checkout": str(project_root())}
    run_playbook(_PLAYBOOKS / "image.yml", inventory=LOCALHOST, extra_vars=variables, progress=progress)


def _may_sudo() -> bool:
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
