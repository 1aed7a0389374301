# SPDX-License-Identifier: GPL-2.0-only
"""A network namespace of our own: taps and a bridge need rights that an ordinary process has only there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabTrouble
from lab.host.commands import run

MARK = "LAB_NETNS"
"""Environment variable that names the namespace made for a process and its children."""

_ENTER = f"""\
PATH=$PATH:/usr/sbin:/sbin
export {MARK}="$(readlink /proc/self/ns/net)"
ip link set lo up && exec "$@"
"""
_TRY_TAP = """\
ip link add lab-br type bridge &&
ip tuntap add dev lab-tap mode tap vnet_hdr &&
ip link set dev lab-tap master lab-br up
"""
_TUN = Path("/dev/net/tun")


def argv_in_own_namespace(argv: Sequence[str]) -> list[str]:
    """The same command in a new network namespace where only loopback is up.

    An ordinary user keeps the uid and becomes able to make devices there, nowhere else. Mapping the uid to root
    would not do: libvirt would then behave as root's and fail at setgroups(), which such a namespace forbids.
    """
    ordinary = ["--user", "--map-current-user", "--keep-caps"] if os.geteuid() else []
    return ["unshare", *ordinary, "--net", "--", "sh", "-c", _ENTER, "sh", *argv]


def in_own_namespace() -> bool:
    """Whether this process is in the namespace that `argv_in_own_namespace` made, or in one as empty as that."""
    if os.environ.get(MARK) == os.readlink("/proc/self/ns/net"):
        return True
    names = [line.split(":")[1].strip().split("@")[0] for line in run(["ip", "-o", "link"]).decode().splitlines()]
    return all(name == "lo" or name.startswith(("lab-br", "t")) for name in names)


def can_make_namespace() -> str:
    """Why a tap link in a namespace of our own cannot be had; "" when one has just been made and thrown away."""
    if not _TUN.exists():
        return f"there is no {_TUN} (modprobe tun)"
    if not os.access(_TUN, os.R_OK | os.W_OK):
        return f"{_TUN} may not be opened by this user (chmod 666 {_TUN})"
    try:
        run(argv_in_own_namespace(["sh", "-c", _TRY_TAP]))
    except LabTrouble as exc:
        return f"no tap link in a network namespace: {exc.message.splitlines()[-1]}"
    return ""
