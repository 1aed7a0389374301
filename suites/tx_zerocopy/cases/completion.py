# SPDX-License-Identifier: GPL-2.0-only
"""Every notification comes, once, and not before the acknowledgement.

> "The kernel returns a notification when it is safe to modify data." "a contract that the kernel will queue a
> completion notification"

**Experiment.** One client sends from buffers that it unmaps, another from a ring that it fills anew. The peer of the
first reads nothing until all is sent; then it reads, and all of both is notified.

**Rule `notified`.** Each number of a send is in one range of the error queue, and in no second one; none is of a send
that was never made; when it came, the peer had acknowledged the last byte of it (SIOCOUTQ, asked after the notification
was read, so that it can only excuse too much). The peers have every byte.

**Rule `none-early`.** The second witness of that: while the first peer reads nothing, no more is notified than its
receive buffers can hold.

A notification that says COPIED proves nothing of this, for who copies may let go at once: then the verdict is ERROR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD
from lab.units import MIB
from suites.tx_zerocopy.case import Chapter, case, let_read
from suites.tx_zerocopy.clients import COMPLETED, Behaviour, Sending, keeper
from suites.tx_zerocopy.rules.claims import none_early, notified
from suites.tx_zerocopy.rules.exercised import sent_all

if TYPE_CHECKING:
    from lab.trial.steps import Steps

RING = Sending("ring", Behaviour.RING, None, 32 * MIB, 4)
KEEPER = keeper(deliver=32 * MIB)


@case(
    chapter=Chapter.LIFETIME,
    claim="each send with MSG_ZEROCOPY is notified once, after the peer has acknowledged it",
    source="Documentation/networking/msg_zerocopy.rst, Notifications; commit 52267790ef52",
    clients=[RING, KEEPER],
    exercised_by=sent_all,
    judged_by=[notified, none_early],
)
def completion(pair: Steps) -> None:
    """Two clients send; the peer of one reads as it comes, that of the other when all is sent; all is notified."""
    pair.start(RING)
    pair.delivered(RING)
    pair.reached(RING, COMPLETED, RING.deliver)
    pair.start(KEEPER)
    pair.delivered(KEEPER)
    pair.checkpoint(HELD)
    let_read(pair, KEEPER)
    pair.served()
    pair.end()
