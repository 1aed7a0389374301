# SPDX-License-Identifier: GPL-2.0-only
"""A person's way into a guest: the OpenSSH client on this terminal, with the host key that the guest has said."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lab.contracts import Address


def ssh_argv(address: Address, hostkey: str, known_hosts: Path, command: Sequence[str] = ()) -> list[str]:
    """The command line of ssh: a login shell on a terminal, or one command without a terminal.

    Writes `known_hosts`; no file of the user's own SSH set-up is read or changed.
    """
    known_hosts.write_text(f"[{address.host}]:{address.port} {' '.join(hostkey.split()[:2])}\n")
    options = {
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }
    argv = ["ssh", "-F", "/dev/null", "-i", str(address.key_file), "-p", str(address.port)]
    argv += [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    argv += ["-T" if command else "-t", f"root@{address.host}"]
    return [*argv, shlex.join(command)] if command else argv
