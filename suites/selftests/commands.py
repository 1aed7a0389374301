# SPDX-License-Identifier: GPL-2.0-only
"""Command lines of selftests in guests, and where their files lie there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from lab.plan.names import LinkAddress, Role
from suites.selftests.table import SELFTESTS, Selftest

GUEST_ROOT = PurePosixPath("/tmp/selftests")  # noqa: S108 - in the guest
GUEST_DISK = PurePosixPath("/tmp/disk")  # noqa: S108 - in the guest
GUEST_HOME = PurePosixPath("/tmp/home")  # noqa: S108 - in the guest, whose /root is read-only
"""Home of the key with which a receiver reaches its sender."""
KEY = GUEST_HOME / ".ssh/id"

SSH = f"""#!/bin/sh
# What remote_ssh.py calls, with the SSH client that the guests have.
[ "$1" = -q ] && shift
exec dbclient -i {KEY} "$@"
"""
SCP = """#!/bin/sh
# scp FILE HOST:FILE, as remote_ssh.py deploys its helpers.
exec ssh "${2%%:*}" "cat > '${2#*:}' && chmod $(stat -c %a "$1") '${2#*:}'" < "$1"
"""
TOOLS = {"ssh": SSH, "scp": SCP}


def lacking(asked: str, built: str) -> tuple[str, ...]:
    """Options of a directory's `config` that a kernel's config has not built in: guests have no modules for tests."""
    have = set(built.splitlines())
    names = (line.partition("=")[0] for line in asked.splitlines() if line.rstrip().endswith(("=y", "=m")))
    return tuple(dict.fromkeys(name for name in names if f"{name}=y" not in have))


def endpoint_environment(addresses: Mapping[Role, LinkAddress], device: str) -> dict[str, str]:
    """What tests of drivers/net ask for; tools/testing/selftests/drivers/net/README.rst."""
    here, there = addresses["receiver"], addresses["sender"]
    return {
        "NETIF": device,
        "LOCAL_V4": here.v4,
        "LOCAL_V6": here.v6,
        "REMOTE_V4": there.v4,
        "REMOTE_V6": there.v6,
        "REMOTE_TYPE": "ssh",
        "REMOTE_ARGS": f"root@{there.v4}",
    }


def command_in_guest(
    test: Selftest, argv: tuple[str, ...], environment: Mapping[str, str], addresses: Mapping[Role, LinkAddress]
) -> tuple[str, ...]:
    """The command line for one guest: in the test's directory, both output streams as one, tools of ours first.

    What comes by SSH is exempt from the OOM killer, which memcg tests want to meet.
    """
    place = GUEST_ROOT / SELFTESTS / test.directory
    where = {role: address.v4 for role, address in addresses.items()}
    words = [word.format(**where) if word.startswith("{") else word for word in argv or (f"./{test.program}",)]
    if test.disk:
        words = [str(place / word[2:]) if word.startswith("./") else word for word in words]
    assigned = {
        "PATH": f"{GUEST_ROOT}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(GUEST_HOME),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    return (
        "env",
        *(f"{key}={value}" for key, value in assigned.items()),
        "sh",
        "-c",
        'echo 0 > /proc/self/oom_score_adj && cd "$1" && shift && exec "$@" 2>&1',
        "sh",
        str(GUEST_DISK if test.disk else place),
        *words,
    )
