# SPDX-License-Identifier: GPL-2.0-only
"""NIC profiles: one row each, with the reason beside the row.

`can_map_frag()` in net/ipv4/tcp.c maps a frag only when it is exactly one page at offset 0 of an order-0 page, so what
a driver puts into its frags decides everything. Offloads, MTU and sysctls are part of a run's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.spec.known import version_of

Link = Literal["unix", "tap", "none"]

LEAST_QEMU = (7, 2)
"""Below it the lab does not run: `-netdev stream`, the AF_UNIX link of a pair, came with 7.2."""
LEAST_LIBVIRT = (8, 2)
"""Likewise: virDomainQemuMonitorCommandWithFiles, by which a saved guest gets its state, came with 8.2.0."""


NEWER = "Debian 12, Ubuntu 23.04 and Fedora 38, and what came after them, have it"


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def libvirt_too_old(number: int) -> str:
    """Why the lab cannot run with this libvirt, which writes 9000000 for 9.0.0; "" when it can."""
    version = (number // 1_000_000, number // 1000 % 1000, number % 1000)
    if version[:2] >= LEAST_LIBVIRT:
        return ""
    return f"libvirt {dotted(version)} cannot hand files to QEMU; the lab needs {dotted(LEAST_LIBVIRT)} or newer"


@dataclass(frozen=True)
class NicProfile:
    """A NIC model and how both ends of the link are set up.

    model          QEMU device; "" when no link device is needed
    options        QEMU device properties beyond netdev, mac, romfile
    module         kernel module of its driver, None for the loopback
    min_qemu       lowest QEMU version, (major, minor), that has it and runs it right
    mtu            bytes, both ends
    mss            what senders put into a segment at most (TCP_MAXSEG; the 12 bytes of the timestamps are in it), for
                   IPv6 headers are 20 bytes longer: one MTU alone gives whole pages to one family. 0: what the MTU says
    sender_off     ethtool -K features switched off on the sender; receiver_off likewise
    sysctls        set on the receiver (and on the sender where both are one guest)
    measured       mapped share of bytes, (low, high) of `lab nics --measure` on 6.12 and 6.1, or on a kernel that maps
    measured_under the accelerator of that; under another one a guest may take its pages at another pace
    floor          lowest mapped share at which a verdict may be given; below it the verdict is ERROR
    mappable       False: a negative control of the lab itself; every verdict on it is predicted ERROR
    barren         kernels from the first version to before the second, which deliver nothing that can be mapped
    """

    name: str
    model: str
    module: str | None
    link: Link
    mtu: int
    reason: str
    measured: tuple[float, float]
    floor: float
    mss: int = 0
    options: str = ""
    measured_under: str = "tcg"
    min_qemu: tuple[int, int] = LEAST_QEMU
    sender_off: tuple[str, ...] = ()
    receiver_off: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    mappable: bool = True
    barren: tuple[tuple[int, int], tuple[int, int]] | None = None

    def maps_on(self, release: str) -> bool:
        """Whether a kernel of this release delivers pages that can be mapped; one that has no number is of today."""
        version = version_of(release)
        if self.barren is None or version is None:
            return self.mappable
        return self.mappable and not self.barren[0] <= version[:2] < self.barren[1]


ALONE = "loopback"
"""The profile of a guest without a link."""

ORDER0 = (("net.core.high_order_alloc_disable", "1"),)

NICS: dict[str, NicProfile] = {
    n.name: n
    for n in (
        NicProfile(
            "e1000e-split",
            "e1000e",
            "e1000e",
            "unix",
            4168,
            "packet split: the header goes to a buffer of its own, the payload of MSS 4096 to a fresh order-0 page. "
            "The MTU is IPv6's; senders keep to the same MSS over IPv4. "
            "Sender TSO off: QEMU before 8 turns TSO without a vnet-header peer into IP fragments",
            (0.98, 1.0),
            0.80,
            sender_off=("tso", "gso"),
            mss=4096 + 12,
        ),
        NicProfile(
            "virtio",
            "virtio-net-pci",
            "virtio_net",
            "unix",
            65535,
            "big packets: a chain of order-0 pages per packet; without host_mtu the device cannot take jumbo frames",
            (0.86, 0.93),
            0.25,
            options="mrg_rxbuf=off,host_mtu=65535",
        ),
        NicProfile(
            "virtio-mrg",
            "virtio-net-pci",
            "virtio_net",
            "unix",
            65535,
            "mergeable buffers: order-3 page frags are compound and refused, so the sysctl makes them order 0; "
            "full pages after the first of each packet. Buffers of 6.13 to 7.0 begin 32 bytes into a page "
            "(47008bb51c3e, fb22437c1ba3); from 7.1 on they are whole pages of a page_pool",
            (0.87, 0.93),
            0.25,
            options="mrg_rxbuf=on,host_mtu=65535",
            sysctls=ORDER0,
            barren=((6, 13), (7, 1)),
        ),
        NicProfile(
            "virtio-jumbo",
            "virtio-net-pci",
            "virtio_net",
            "unix",
            9000,
            "mergeable buffers as they come, with jumbo frames: until 7.0 parts of order-3 page frags, and nothing is "
            "mappable; from 7.1 on order-0 pages of a page_pool (24fbd3967f3f), of which one in three is full. GRO "
            "would chain them in a frag_list",
            (0.45, 0.46),
            0.15,
            options="mrg_rxbuf=on,host_mtu=9000",
            receiver_off=("gro",),
            barren=((0, 0), (7, 1)),
        ),
        NicProfile(
            "virtio-tap",
            "virtio-net-pci",
            "virtio_net",
            "tap",
            1500,
            "GSO packets of 64 KiB with a vnet header through taps in a network namespace of our own: nearest to "
            "production",
            (0.85, 0.87),
            0.40,
            options="mrg_rxbuf=off",
        ),
        NicProfile(
            "e1000",
            "e1000",
            "e1000",
            "unix",
            9000,
            "jumbo frames in two whole pages, the first of which holds the headers; GRO would chain them in a "
            "frag_list",
            (0.45, 0.46),
            0.15,
            sender_off=("tso", "gso"),
            receiver_off=("gro",),
        ),
        NicProfile(
            "vmxnet3",
            "vmxnet3",
            "vmxnet3",
            "unix",
            9000,
            "the lab's own negative control: nothing it delivers is mappable, so no verdict may come of it",
            (0.0, 0.0),
            0.15,
            sender_off=("tso", "gso"),
            mappable=False,
        ),
        NicProfile(
            "igb",
            "igb",
            "igb",
            "unix",
            1500,
            "half pages or order-1 compound pages: never mappable; recycles by reference count like fm10k. QEMU >= 8",
            (0.0, 0.0),
            0.15,
            min_qemu=(8, 0),
            sender_off=("tso", "gso"),
            mappable=False,
        ),
        NicProfile(
            "loopback",
            "",
            None,
            "none",
            65536,
            "both ends in one guest: the receiver gets the sender's own page frags. A fast first answer; "
            "one memcg tree is shared by both ends, so it is not evidence about two machines",
            (0.90, 0.95),
            0.50,
            sysctls=ORDER0,
        ),
    )
}
