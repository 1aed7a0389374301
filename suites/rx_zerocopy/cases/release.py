# SPDX-License-Identifier: GPL-2.0-only
"""Where a charge ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour, holder
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import returned
from suites.rx_zerocopy.rules.exercised import took_delivered

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder(Behaviour.PIN_VMSPLICE)


@case(
    chapter=Chapter.LIFETIME,
    claim='the charge lifetime "ends when the object is fed back to whatever pool it came out of ... '
    'and its memory is available to new allocs"',
    clients=[CLIENT],
    exercised_by=took_delivered,
    judged_by=[returned],
    expect=on_all(PASS),
)
def release(pair: Steps) -> None:
    """Map 1 x limit without a limit set, drop every reference, look where charge and free memory settle."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    pair.release(CLIENT)
    pair.charge_gone(CLIENT)
    pair.checkpoint(RELEASED)
    pair.end()
