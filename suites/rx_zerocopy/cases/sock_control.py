# SPDX-License-Identifier: GPL-2.0-only
"""Data that nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import LIMIT, QUEUED, Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import queue_billed
from suites.rx_zerocopy.rules.exercised import queued

if TYPE_CHECKING:
    from lab.trial.steps import Steps

READER = ClientSpec("abuser", Behaviour.SLOW, LIMIT, 4 * LIMIT, sockets=4, rcvbuf=4 * MIB)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) data queued in the socket is charged as sock",
    clients=[READER],
    exercised_by=queued,
    judged_by=[queue_billed],
    expect=on_all(PASS),
    maps=False,
    seconds=3,
)
def sock_control(pair: Steps) -> None:
    """A reader that never reads."""
    pair.start(READER)
    pair.delivered(READER)
    lies = pair.counter(READER, QUEUED)
    pair.settled("sock charge", lambda s: s.cgroups[READER.name].stat["sock"] >= lies)
    pair.checkpoint(HELD)
    pair.release(READER)
    pair.checkpoint(RELEASED)
    pair.end()
