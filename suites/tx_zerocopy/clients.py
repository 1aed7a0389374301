# SPDX-License-Identifier: GPL-2.0-only
"""The clients of this experiment: what tx-client can do, and how its peer takes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.plan.case import ClientSpec, Counter, Line
from lab.units import KIB, MIB


class Behaviour(StrEnum):
    """How a client sends; guest/tx-client.c."""

    KEEP = "keep"  # MSG_ZEROCOPY from fresh buffers, each unmapped when all of it is sent: only the kernel keeps it
    RING = "ring"  # MSG_ZEROCOPY from a few buffers, each filled anew when the kernel has let go of it
    COPY = "copy"  # as usual: the kernel copies


ZEROCOPY = frozenset({Behaviour.KEEP, Behaviour.RING})


@dataclass(frozen=True)
class Sending(ClientSpec):
    """A client that sends.

    sndbuf   SO_SNDBUF of each socket; the kernel lets twice as much queue. 0 leaves it to the kernel
    memlock  RLIMIT_MEMLOCK of a client without privileges; 0: a privileged one, to whom no such limit applies
    waits    its peer reads nothing until it is told to
    window   SO_RCVBUF of the peer's sockets, 0 leaves it to the kernel
    """

    sndbuf: int = 0
    memlock: int = 0
    waits: bool = False
    window: int = 0


SENT, ZEROCOPIED, COMPLETED, UNCOPIED = map(Counter, ("sent", "zerocopied", "completed", "uncopied"))
"""Bytes that the kernel took; of them with MSG_ZEROCOPY; of those notified; of these never copied."""
UNACKED, QUEUED, HELD_BYTES = map(Counter, ("unacked", "queued", "held"))
"""Bytes that the peer has not acknowledged; that lie in sockets as copies; and that only the client keeps."""
SENDS, NOTIFIED = map(Counter, ("sends", "notified"))
"""Calls with MSG_ZEROCOPY, and notifications of them."""

LINES = (
    Line(SENT, "given to its sockets", drawn=True),
    Line(UNCOPIED, "of it let go by the kernel, and never copied", drawn=True),
    Line(UNACKED, "of it not acknowledged by the peer"),
)

LIMITS = {"full": "SO_SNDBUF", "refused": "ENOBUFS"}
"""Why a client sends no more although it has more, in its own words, and what that means."""

WINDOW = 64 * KIB
"""What a peer that waits lets come: little, and much the same on each host."""

KEPT = 64 * MIB


def keeper(name: str = "sender", deliver: int = KEPT) -> Sending:
    """Keeps so much in flight to a peer that waits. Its buffers have room for all of it."""
    sockets = 4
    return Sending(name, Behaviour.KEEP, None, deliver, sockets, sndbuf=deliver // sockets, waits=True, window=WINDOW)
