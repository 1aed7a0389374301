# SPDX-License-Identifier: GPL-2.0-only
"""Does this kernel, with this NIC, MTU and sysctl, deliver pages that can be mapped?

What escapes is at most what can be mapped, and that is decided by what a driver makes its buffers of. It has changed
twice since 6.12 for virtio alone, once each way. The table of suites/rx_zerocopy/shares.py predicts the share for each
NIC profile and line of kernels, by reading drivers and by arithmetic; this case sets what it measures beside it.

**Rule `as-predicted`.** The share of bytes that the client could map lies within 8 points of the predicted one; where
nothing is predicted, it is 1 % at most. A FAIL says that a kernel delivers something else than was read in it: then the
table is examined, or there is a regression. Both numbers are told in any case.

**Exercised.** All of the stream came, mapped or copied. So it has a verdict on NICs that deliver nothing mappable, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.exercised import took_all
from suites.rx_zerocopy.rules.shares import as_predicted

if TYPE_CHECKING:
    from lab.trial.steps import Steps

READER = ClientSpec("reader", Behaviour.MAP, None, 48 * MIB)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) a kernel delivers, on a NIC, the share of mappable pages that its driver's source says",
    source="drivers/net of 6.1 to 7.3, and can_map_frag() of net/ipv4/tcp.c",
    clients=[READER],
    exercised_by=took_all,
    judged_by=[as_predicted],
    expect=on_all(PASS),
    maps=False,
    seconds=3,
)
def map_share(pair: Steps) -> None:
    """Map and unmap 48 MiB as they come, and copy what cannot be mapped."""
    keep_and_release(pair)
