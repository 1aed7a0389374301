# SPDX-License-Identifier: GPL-2.0-only
"""What each NIC profile delivers with which kernel: the share that can be mapped, and whether it is a page pool's.

`can_map_frag()` of net/ipv4/tcp.c takes a frag of exactly one page at offset 0 of an order-0 page. So the share follows
from what a driver makes its buffers of and how a packet lies in them: predicted here, measured by the case `map-share`.
"""

from __future__ import annotations

from lab.plan.nics import NicProfile
from lab.spec.known import version_of

Line = tuple[int, int]
"""A kernel's version, without the patch level."""

EVER: Line = (0, 0)

SHARES: dict[str, tuple[tuple[Line, float], ...]] = {
    # Packet split: 4,096 bytes of payload in a page of their own, but for packets that are not full.
    "e1000e-split": ((EVER, 0.99),),
    # Big packets, 16 pages each, of which the first holds the headers; TCP does not fill each packet.
    "virtio": ((EVER, 0.90),),
    # The same in mergeable buffers. 47008bb51c3e and fb22437c1ba3 put 32 bytes at the start of their pages in 6.13;
    # pages of a page_pool (24fbd3967f3f, 7.1) begin with the buffer.
    "virtio-mrg": ((EVER, 0.90), ((6, 13), 0.0), ((7, 1), 0.94)),
    # 8,948 bytes of payload in three buffers, and only the second one is a full page from its start. Until 7.0 buffers
    # are parts of order-3 pages.
    "virtio-jumbo": ((EVER, 0.0), ((7, 1), 0.46)),
    # GSO packets of 64 KiB in big packets.
    "virtio-tap": ((EVER, 0.86),),
    # The same arithmetic as virtio-jumbo, in two pages.
    "e1000": ((EVER, 0.46),),
    # Half pages, compound pages, linear parts.
    "vmxnet3": ((EVER, 0.0),),
    "igb": ((EVER, 0.0),),
    # The sender's own page frags, of order 0 by the sysctl.
    "loopback": ((EVER, 0.93),),
}
"""By NIC profile: the share from a kernel on, the oldest first."""

POOLED: dict[str, Line] = {"virtio-mrg": (7, 1), "virtio-jumbo": (7, 1)}
"""Profiles whose driver takes what it delivers from a page pool, and since when. virtio_net has none for big packets
(virtnet_create_page_pools() of 7.3); vmxnet3 has one for XDP alone."""


def predicted_share(nic: str, release: str) -> float | None:
    """Of the bytes received; None for a profile, or a release, that the table says nothing of."""
    version = version_of(release)
    if version is None:
        return None
    return next((share for since, share in reversed(SHARES.get(nic, ())) if since <= version[:2]), None)


def is_pooled(nic: NicProfile, release: str) -> bool:
    """Whether a kernel of this release takes what the NIC delivers from a page pool; one without a number does."""
    version = version_of(release)
    return nic.name in POOLED and (version is None or version[:2] >= POOLED[nic.name])
