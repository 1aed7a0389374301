# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary sends: what is copied is charged to the socket.

The control of `double-accounting`: the same peer that reads nothing, and `sock` of memory.stat does say what lies in
the sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD
from lab.units import MIB
from suites.tx_zerocopy.case import Chapter, case
from suites.tx_zerocopy.clients import WINDOW, Behaviour, Sending
from suites.tx_zerocopy.rules.claims import queue_billed
from suites.tx_zerocopy.rules.exercised import queued

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SENDER = Sending("sender", Behaviour.COPY, None, 64 * MIB, 4, sndbuf=4 * MIB, waits=True, window=WINDOW)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) what an ordinary send copies into the socket is charged as sock, and bounded by SO_SNDBUF",
    source="net/ipv4/tcp.c, tcp_wmem_schedule(); mm/memcontrol.c, mem_cgroup_charge_skmem()",
    clients=[SENDER],
    exercised_by=queued,
    judged_by=[queue_billed],
    copies=True,
)
def tx_copy_control(pair: Steps) -> None:
    """64 MiB are offered by ordinary sends to a peer that reads nothing."""
    pair.start()
    pair.delivered()
    pair.checkpoint(HELD)
    pair.end()
