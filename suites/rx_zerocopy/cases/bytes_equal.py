# SPDX-License-Identifier: GPL-2.0-only
"""Does what arrives equal what was sent?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import bytes_equal as bytes_equal_rule
from suites.rx_zerocopy.rules.exercised import delivered_all

if TYPE_CHECKING:
    from lab.trial.steps import Steps

HOLDER = ClientSpec("hold", Behaviour.HOLD, None, 16 * MIB, verify=True)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) zerocopy delivers what was sent",
    clients=[
        ClientSpec("map", Behaviour.MAP, None, 16 * MIB, verify=True),
        ClientSpec("copy", Behaviour.COPY, None, 16 * MIB, ring=1 * MIB, verify=True),
        HOLDER,
        ClientSpec("pin", Behaviour.PIN_VMSPLICE, None, 16 * MIB, verify=True),
    ],
    subject=HOLDER,
    exercised_by=delivered_all,
    judged_by=[bytes_equal_rule],
    expect=on_all(PASS),
)
def bytes_equal(pair: Steps) -> None:
    """A seeded stream under every client, checked byte by byte, mapped and copied parts."""
    keep_and_release(pair)
