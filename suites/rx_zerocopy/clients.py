# SPDX-License-Identifier: GPL-2.0-only
"""The clients of this experiment: what zc-client can do with what it receives, and how much it is given."""

from __future__ import annotations

from enum import StrEnum

from lab.plan.case import ClientSpec, Counter, Line
from lab.units import MIB, PAGE_SIZE


class Behaviour(StrEnum):
    """What a client does with its stream; guest/zc-client.c."""

    MAP = "map"  # maps and unmaps as it goes: the well-behaved one
    COPY = "copy"  # recv() into anonymous memory
    DROP = "drop"  # reads, and keeps nothing
    SLOW = "slow"  # never reads
    HOLD = "hold"  # maps, and never unmaps
    HOLD_OR_COPY = "hold-or-copy"  # the same; what is refused it copies
    HOLD_NO_HINT = "hold-no-hint"  # as hold, without telling the kernel that the range is unmapped
    MAP_OVER = "map-over"  # maps over pages that are mapped, the same 16 MiB of address space over and over
    MAP_OVER_NO_HINT = "map-over-no-hint"
    COPYBUF = "copybuf"  # as hold; each call is offered another buffer to copy into, after a look ahead by MSG_PEEK
    RACE = "race"  # maps, while others unmap, fork, exit, remove cgroups and lower the limit
    PIN_VMSPLICE = "pin-vmsplice"  # maps, vmsplices into pipes, unmaps
    PIN_TEE = "pin-tee"
    PIN_FORK = "pin-fork"
    PIN_SENDZC = "pin-sendzc"
    PIN_URING = "pin-uring"


VMSPLICED = frozenset({Behaviour.PIN_VMSPLICE, Behaviour.PIN_TEE})
"""Behaviours that keep pages by vmsplice; on a kernel where it copies they keep copies."""

LINES = (
    Line(Counter("delivered"), "received from the link", drawn=True),
    Line(Counter("mapped"), "of it by TCP_ZEROCOPY_RECEIVE", drawn=True),
    Line(Counter("pinned"), "in pipes at that moment"),
)

LIMIT = 64 * MIB
PACE = LIMIT
"""Bytes a second at most to a client that its limit may end: ten samples of telemetry lie between nothing and the
limit, however fast the host. Under emulation streams hardly come to it."""

QUEUED, MAPPED_NOW, HOLDS = Counter("queued"), Counter("mapped_now"), Counter("held")
"""Bytes that lie in the client's sockets, that its page tables hold, and that it keeps in whatever way."""


def abuser(behaviour: Behaviour) -> ClientSpec:
    """Takes four times its limit, as fast as can be measured, and keeps all of it that way."""
    return ClientSpec("abuser", behaviour, LIMIT, 4 * LIMIT, rate=PACE)


def holder(behaviour: Behaviour = Behaviour.HOLD) -> ClientSpec:
    """Takes as much as that limit without having one."""
    return ClientSpec("abuser", behaviour, None, LIMIT)


def against_the_limit(behaviour: Behaviour, sockets: int, limit: int = LIMIT, rcvbuf: int = 0) -> ClientSpec:
    """Many sockets map at once until the limit refuses, without an OOM kill. A socket's share fills one page table."""
    deliver = sockets * (2 * MIB - PAGE_SIZE)
    return ClientSpec("abuser", behaviour, limit, deliver, sockets, rcvbuf=rcvbuf, unkillable=True)
