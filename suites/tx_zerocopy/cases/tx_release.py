# SPDX-License-Identifier: GPL-2.0-only
"""Where a charge ends when a connection is torn down.

A client resets its connections (SO_LINGER of zero) while 64 MiB are on their way. `tcp_write_queue_purge()` of
net/ipv4/tcp.c frees what the peer will never acknowledge, and with it the last references to pages that were unmapped
long ago. Nobody is notified: the socket is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED
from suites.tx_zerocopy.case import Chapter, case
from suites.tx_zerocopy.clients import keeper
from suites.tx_zerocopy.rules.claims import billed, returned
from suites.tx_zerocopy.rules.exercised import kept_in_flight

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SENDER = keeper()


@case(
    chapter=Chapter.LIFETIME,
    claim="a connection that is reset lets go of all that it had in flight, and the charge ends",
    source="net/ipv4/tcp.c, tcp_write_queue_purge(); Documentation/networking/msg_zerocopy.rst, Notification Batching",
    clients=[SENDER],
    exercised_by=kept_in_flight,
    judged_by=[billed, returned],
)
def tx_release(pair: Steps) -> None:
    """64 MiB are sent to a peer that reads nothing, and the connections are reset."""
    pair.start()
    pair.delivered()
    pair.checkpoint(HELD)
    pair.release(SENDER)
    pair.charge_gone(SENDER)
    pair.checkpoint(RELEASED)
    pair.end()
