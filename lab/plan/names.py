# SPDX-License-Identifier: GPL-2.0-only
"""Names, MAC and IP addresses as pure functions of an id, so that two runs never meet and a bundle explains itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Literal

Role = Literal["receiver", "sender"]
ROLES: tuple[Role, ...] = ("receiver", "sender")

Family = Literal["ipv4", "ipv6"]
FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")
"""Of addresses: over which a run's streams go."""


def other(role: Role) -> Role:
    """The guest at the other end of the link."""
    return "sender" if role == "receiver" else "receiver"


def peers_folder(tested: Role) -> str:
    """Where in a bundle the output of the clients' peers lies: `senders`, or `receivers` where a sender is tested."""
    return f"{other(tested)}s"


def digest(*parts: object, length: int = 8) -> str:
    """Hex digits that depend on every part and on their order."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:length]


def mac(pair: str, role: Role, nic: str) -> str:
    """A locally administered address in QEMU's own block."""
    d = digest(pair, role, nic, length=6)
    return f"52:54:00:{d[0:2]}:{d[2:4]}:{d[4:6]}"


@dataclass(frozen=True)
class LinkAddress:
    """Addresses of one end of the link; the two ends of a pair share /24 and /64."""

    v4: str
    v6: str

    def of(self, family: Family) -> str:
        return self.v6 if family == "ipv6" else self.v4


def link_address(pair: str, role: Role) -> LinkAddress:
    """From the benchmarking block of RFC 2544 and a unique local prefix; neither leaves the two guests.

    Written as every tool prints them: net 0 is left out of an IPv6 address.
    """
    net = int(digest(pair, "link", length=2), 16)
    host = 1 + ROLES.index(role)
    return LinkAddress(f"198.18.{net}.{host}", str(IPv6Address(f"fd6c:6162:{net:x}::{host}")))


def domain_name(pair: str, role: Role) -> str:
    return f"lab-{pair}-{role}"
