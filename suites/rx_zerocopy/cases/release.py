# SPDX-License-Identifier: GPL-2.0-only
"""Where a charge ends.

**Rule `returned`.** When every reference is dropped, the client's cgroup is charged for no more than before the first
byte, 64 pages a CPU, 512 KiB and 8 KiB a socket (seen: 92 to 228 KiB, of 256 that it had begun with). So
a driver's cache that keeps 1 MiB charged is seen. It may keep pages of the preflight's cgroup still, which has been
removed, and so fewer of the client's: no page is charged to a removed cgroup, up to 8. Memory is back within 8 MiB.
"""

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
