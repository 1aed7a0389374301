# SPDX-License-Identifier: GPL-2.0-only
"""The link between the two guests of a pair, where it needs more than QEMU itself: taps in a namespace of our own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lab.errors import CommandFailed, HostTrouble
from lab.host.commands import run
from lab.plan.domain import tap_name
from lab.plan.names import ROLES, Role
from lab.plan.nics import NicProfile
from lab.provision.namespace import in_own_namespace
from lab.units import Deadline, wait_until

LISTENER_LIMIT = timedelta(seconds=30)
LISTENER_POLL = timedelta(milliseconds=5)
ACCEPTING = 0x10000
"""__SO_ACCEPTCON in include/uapi/linux/net.h"""


def await_listener(path: Path, given_up: threading.Event) -> None:
    """Wait until somebody listens on a unix socket. Its file is there a moment before that, and a `stream` client of
    QEMU 7 that comes too early stays dead without a word. Raises HostTrouble when that was given up, DeadlinePassed."""

    def listening() -> tuple[bool | None, object]:
        if given_up.is_set():
            raise HostTrouble(f"gave up waiting: nobody listens on {path}")
        return (True if is_listening(Path("/proc/net/unix").read_text(), path) else None), "nobody listens"

    wait_until(listening, deadline=Deadline.after(f"a listener on {path}", LISTENER_LIMIT), pause=LISTENER_POLL)


def is_listening(table: str, path: Path) -> bool:
    """From the text of /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path."""
    rows = (line.split(maxsplit=7) for line in table.splitlines()[1:])
    return any(len(row) == 8 and row[7] == str(path) and int(row[3], 16) & ACCEPTING for row in rows)


def _commands(pair: str, owner: int) -> list[list[str]]:
    bridge = f"lab-br{pair[:6]}"
    made = [["ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0"], ["ip", "link", "set", bridge, "up"]]
    for role in ROLES:
        tap = tap_name(pair, role)
        made += [
            # Owned by whom QEMU runs as: it opens it without the capabilities that made it.
            ["ip", "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr", "user", str(owner)],
            ["ip", "link", "set", tap, "master", bridge, "up"],
        ]
    return made


def _remove(pair: str, roles: tuple[Role, ...] = ROLES) -> None:
    for device in (*(tap_name(pair, role) for role in roles), f"lab-br{pair[:6]}"):
        with contextlib.suppress(CommandFailed):  # it may not have been made
            run(["ip", "link", "del", device])


@contextlib.contextmanager
def link(pair: str, nic: NicProfile, owner: int) -> Iterator[None]:
    """Make what the link needs on the host, for a QEMU that runs as `owner`.

    Raises HostTrouble outside a network namespace of our own.
    """
    if nic.link != "tap":
        yield
        return
    if not in_own_namespace():
        raise HostTrouble(
            f"{nic.name} needs a network namespace of its own, and this process is in the host's",
            hint="start it with `lab run`, which makes one",
        )
    try:
        for argv in _commands(pair, owner):
            run(argv)
        yield
    except CommandFailed as exc:
        raise HostTrouble(f"cannot make the tap link: {exc}") from exc
    finally:
        _remove(pair)
