"""The link between the two guests of a pair, where it needs more than QEMU itself: taps in a namespace of our own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from lab.commands import run
from lab.errors import CommandFailed, HostTrouble
from lab.plan.domain import tap_name
from lab.plan.names import ROLES, Role
from lab.plan.nics import NicProfile
from lab.provision.namespace import in_own_namespace


def _commands(pair: str) -> list[list[str]]:
    bridge = f"lab-br{pair[:6]}"
    made = [["ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0"], ["ip", "link", "set", bridge, "up"]]
    for role in ROLES:
        tap = tap_name(pair, role)
        made += [
            # Owned by us: QEMU opens it as our user, without the capabilities that made it.
            ["ip", "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr", "user", str(os.geteuid())],
            ["ip", "link", "set", tap, "master", bridge, "up"],
        ]
    return made


def _remove(pair: str, roles: tuple[Role, ...] = ROLES) -> None:
    for device in (*(tap_name(pair, role) for role in roles), f"lab-br{pair[:6]}"):
        with contextlib.suppress(CommandFailed):  # it may not have been made
            run(["ip", "link", "del", device])


@contextlib.contextmanager
def link(pair: str, nic: NicProfile) -> Iterator[None]:
    """Make what the link needs on the host. Raises HostTrouble outside a network namespace of our own."""
    if nic.link != "tap":
        yield
        return
    if not in_own_namespace():
        raise HostTrouble(
            f"{nic.name} needs a network namespace of its own, and this process is in the host's",
            hint="start it with `lab run`, which makes one",
        )
    try:
        for argv in _commands(pair):
            run(argv)
        yield
    except CommandFailed as exc:
        raise HostTrouble(f"cannot make the tap link: {exc}") from exc
    finally:
        _remove(pair)
