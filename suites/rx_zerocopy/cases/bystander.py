# SPDX-License-Identifier: GPL-2.0-only
"""Somebody else pays for what an abuser keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import SMALL, Chapter, case
from suites.rx_zerocopy.clients import LIMIT, PACE, Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.claims import billed, isolated
from suites.rx_zerocopy.rules.exercised import took

if TYPE_CHECKING:
    from lab.trial.steps import Steps

INNOCENT = ClientSpec("innocent", Behaviour.COPY, 96 * MIB, 0, rate=2 * MIB, ring=24 * MIB)
ABUSER = ClientSpec("abuser", Behaviour.PIN_VMSPLICE, LIMIT, 1024 * MIB, rate=PACE)


@case(
    chapter=Chapter.ISOLATION,
    claim='"This can cause a memory isolation issue"',
    clients=[INNOCENT, ABUSER],
    subject=ABUSER,
    exercised_by=took(3),  # whether the innocent ran before is for `isolated`, which needs its rate
    judged_by=[billed, isolated],
    expect=expected(stock=FAIL, precharge=FAIL, unmap_hook=FAIL, put_hook=PASS, pool_return=PASS),
    shape=SMALL,
    seconds=12,
)
def bystander(pair: Steps) -> None:
    """An innocent cgroup takes a steady stream while the abuser pins until something gives."""
    pair.start(INNOCENT)
    pair.flowing(INNOCENT, bytes_more=6 * MIB)
    pair.start(ABUSER)
    pair.until_something_gives(ABUSER)
    pair.observe(samples=20)
    pair.end()
