"""The link between the two guests of a pair, where it needs more than QEMU itself: taps in a namespace of our own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.commands import run
from lab.errors import CommandFailed, HostTrouble
from lab.plan.domain import tap_name
from lab.plan.names import ROLES, Role
from lab.plan.nics import NicProfile


def in_own_namespace() -> bool:
    """Whether this process is in a network namespace that has nothing but loopback and what the lab put there."""
    names = [line.split(":")[1].strip().split("@")[0] for line in run(["ip", "-o", "link"]).decode().splitlines()]
    return all(name == "lo" or name.startswith(("lab-br", "t")) for name in names)


def _commands(pair: str) -> list[list[str]]:
    bridge = f"lab-br{pair[:6]}"
    made = [["ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0"], ["ip", "link", "set", bridge, "up"]]
    for role in ROLES:
        tap = tap_name(pair, role)
        made += [
            ["ip", "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr"],
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
            hint="start it with `lab run`, which makes one, or under `unshare --net --map-root-user`",
        )
    try:
        for argv in _commands(pair):
            run(argv)
        yield
    except CommandFailed as exc:
        raise HostTrouble(f"cannot make the tap link: {exc}") from exc
    finally:
        _remove(pair)
