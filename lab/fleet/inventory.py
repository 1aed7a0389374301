# SPDX-License-Identifier: GPL-2.0-only
"""Hosts, as an Ansible inventory lists them (hosts.ini or YAML); Ansible itself reads it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import BadInput, HostTrouble
from lab.host.commands import missing
from lab.host.paths import project_root
from lab.text.words import clipped

READ_SECONDS = 60
MOST_PAIRS = 512
COMMAND = "/opt/lab/current/.venv/bin/lab"
"""Where `lab hosts setup` puts it."""
HINT = "an Ansible inventory, e.g. `one ansible_host=192.0.2.1 ansible_user=lab`; docs/fleet.md"

SSH_OPTIONS = (
    *("-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o", "ForwardAgent=no"),
    *("-o", "ClearAllForwardings=yes", "-o", "ControlMaster=no", "-o", "PermitLocalCommand=no"),
)
"""A host's key is known beforehand or it is no host; nothing is forwarded to it."""


@dataclass(frozen=True)
class FleetHost:
    """A host, and the command line whose two ends are the wire to `lab batch --serve` there.

    pairs  how many batches at once, 0 for what the host has room for
    """

    name: str
    argv: tuple[str, ...]
    pairs: int = 0


def read_inventory(path: Path) -> tuple[FleetHost, ...]:
    """Raises BadInput with all that is wrong, HostTrouble where there is no Ansible."""
    return hosts_of(listing(path), str(path))


def listing(path: Path) -> dict[str, Any]:
    """What `ansible-inventory --list` says. Raises as `read_inventory`."""
    if not path.exists():
        raise BadInput([f"--hosts {path}: there is no such file"], hint=HINT)
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path), "--list"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=READ_SECONDS, env=_environment()
        )
    except FileNotFoundError as exc:
        raise missing(argv[0]) from exc
    except subprocess.TimeoutExpired as exc:
        raise HostTrouble(f"{path}: ansible-inventory took longer than {READ_SECONDS} s") from exc
    if done.returncode:
        raise BadInput([f"{path}: {clipped(' '.join(done.stderr.split()), 500)}"], hint=HINT)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _environment() -> dict[str, str]:
    """The playbooks' settings and no others; a file that no plugin can read is an error, not an empty list."""
    config = str(project_root() / "playbooks" / "ansible.cfg")
    return {**os.environ, "ANSIBLE_CONFIG": config, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True"}


def hosts_of(told: Mapping[str, Any], name: str) -> tuple[FleetHost, ...]:
    """From what `ansible-inventory --list` says. Pure. Raises BadInput."""
    known: Mapping[str, Mapping[str, Any]] = told.get("_meta", {}).get("hostvars", {})
    names = {host for group in told.values() if isinstance(group, Mapping) for host in group.get("hosts", ())}
    problems: list[str] = []
    hosts: list[FleetHost] = []
    for host in sorted({*known, *names}):
        variables = known.get(host, {})
        wrong = _wrong(host, variables)
        problems += [f"{name}: {host}: {problem}" for problem in wrong]
        if not wrong:
            hosts.append(FleetHost(host, argv_to(host, variables), int(variables.get("lab_pairs", 0))))
    if not hosts and not problems:
        problems.append(f"{name}: it lists no host")
    if problems:
        raise BadInput(problems, hint=HINT)
    return tuple(hosts)


def _wrong(host: str, variables: Mapping[str, Any]) -> list[str]:
    wrong = []
    if not host.replace("-", "a").replace(".", "a").replace("_", "a").isalnum() or not host.isascii():
        wrong.append("a name is letters, digits, `.`, `-` and `_`")
    pairs = str(variables.get("lab_pairs", 0))
    if not pairs.isdecimal() or int(pairs) > MOST_PAIRS:
        wrong.append(f"lab_pairs: {pairs!r} is no number up to {MOST_PAIRS}")
    connection = variables.get("ansible_connection", "ssh")
    if connection not in ("ssh", "local", "smart"):
        wrong.append(f"ansible_connection: {connection!r} is neither ssh nor local")
    for key in ("ansible_host", "ansible_user"):
        if str(variables.get(key, "")).startswith("-"):
            wrong.append(f"{key}: {variables[key]!r} would be an option of ssh")
    return wrong


def argv_to(host: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The command line that reaches a host. A dedicated key's forced command takes the place of what it asks for."""
    if variables.get("ansible_connection") == "local":
        return (sys.executable, "-P", "-m", "lab", "batch", "--serve")
    argv = ["ssh", *SSH_OPTIONS]
    for option, key in (("-p", "ansible_port"), ("-l", "ansible_user")):
        if variables.get(key):
            argv += [option, str(variables[key])]
    if identity := variables.get("lab_key") or variables.get("ansible_ssh_private_key_file"):
        argv += ["-i", str(identity), "-o", "IdentitiesOnly=yes"]
    for key in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        argv += shlex.split(str(variables.get(key, "")))
    command = str(variables.get("lab_command", COMMAND))
    return (*argv, "--", str(variables.get("ansible_host", host)), f"{command} batch --serve")


def as_record(hosts: tuple[FleetHost, ...]) -> dict[str, Any]:
    """For the folder of a session."""
    return {"hosts": [asdict(host) for host in hosts]}


def from_record(record: Mapping[str, Any]) -> tuple[FleetHost, ...]:
    """Raises KeyError, TypeError."""
    return tuple(FleetHost(h["name"], tuple(h["argv"]), h["pairs"]) for h in record["hosts"])
