# SPDX-License-Identifier: GPL-2.0-only
"""Does what arrives equal what was sent?

The ring is the point: each of its buffers is overwritten as soon as the kernel has said that it let go of it. Who says
so too early sends other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.units import MIB
from suites.tx_zerocopy.case import Chapter, case
from suites.tx_zerocopy.clients import COMPLETED, ZEROCOPIED, Behaviour, Sending
from suites.tx_zerocopy.rules.claims import bytes_equal
from suites.tx_zerocopy.rules.exercised import sent_all

if TYPE_CHECKING:
    from lab.trial.steps import Steps

COPY = Sending("copy", Behaviour.COPY, None, 8 * MIB, 2, verify=True)
KEEP = Sending("keep", Behaviour.KEEP, None, 8 * MIB, 2, verify=True)
RING = Sending("ring", Behaviour.RING, None, 16 * MIB, 2, verify=True)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) a buffer that was notified may be overwritten: what arrives is what was sent",
    source="Documentation/networking/msg_zerocopy.rst, Opportunity and Caveats",
    clients=[COPY, KEEP, RING],
    exercised_by=sent_all,
    judged_by=[bytes_equal],
)
def tx_bytes_equal(pair: Steps) -> None:
    """A seeded stream of every client, checked byte by byte by its peer."""
    pair.start()
    pair.delivered()
    pair.served()
    for client in (KEEP, RING):
        pair.reached(client, COMPLETED, pair.counter(client, ZEROCOPIED))
    pair.end()
