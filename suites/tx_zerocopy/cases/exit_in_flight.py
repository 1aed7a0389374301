# SPDX-License-Identifier: GPL-2.0-only
"""What a process has in flight outlives it.

A process that exits leaves its sockets to the kernel, which goes on trying to send (`tcp_close()`): as long as the peer
answers the probes of a closed window, that never ends. Its pages have no process any more, and are charged to its
cgroup all the same (rule `outlives`). They go when the peer reads, or when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD
from suites.tx_zerocopy.case import EXITED, Chapter, case
from suites.tx_zerocopy.clients import keeper
from suites.tx_zerocopy.rules.claims import billed, outlives
from suites.tx_zerocopy.rules.exercised import still_out

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SENDER = keeper()


@case(
    chapter=Chapter.LIFETIME,
    claim="what a process had in flight when it ended stays charged to its cgroup until it is acknowledged or dropped",
    source="net/ipv4/tcp.c, __tcp_close(); net/ipv4/tcp_timer.c, tcp_probe_timer()",
    clients=[SENDER],
    exercised_by=still_out,
    judged_by=[billed, outlives],
)
def exit_in_flight(pair: Steps) -> None:
    """64 MiB are sent to a peer that reads nothing, and the sender exits; two seconds later it is counted."""
    pair.start()
    pair.delivered()
    pair.checkpoint(HELD)
    pair.depart(SENDER)
    pair.observe(samples=20)
    pair.checkpoint(EXITED)
    pair.end()
