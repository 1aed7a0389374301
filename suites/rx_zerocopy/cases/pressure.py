# SPDX-License-Identifier: GPL-2.0-only
"""`hold` and `release` while the guest reclaims memory.

A page that is mapped by TCP_ZEROCOPY_RECEIVE is on no LRU list: reclaim cannot take it, and its charge has to stay. Nor
may a kernel that is short of memory forget to end a charge.

**Experiment.** A client holds 48 MiB. Then `lab-press`, in no limited cgroup, takes anonymous memory until an
allocation has to wait for reclaim, and keeps it. It is counted. While the pressure lasts, the client lets go, and it is
counted again.

**Rules.** `exact` at `held` and `pressed`: charged is what is held, before and under pressure. `returned` after the
release. `exercised`: the kernel had to reclaim, what was taken was kept until the release, and the client held all it
had until then.

Swap and memory.reclaim of the client's cgroup are left out: neither can touch such a page, and the guests have no swap.
The designs' kernels are built without zram, and a swap file on a loop device over tmpfs takes the memory that it gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.claims import returned
from suites.rx_zerocopy.rules.paths import held_under_pressure

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = ClientSpec("abuser", Behaviour.HOLD, None, 48 * MIB)
PRESSED = Checkpoint("pressed")
"""When nothing is free any more, and the client still holds."""


@case(
    chapter=Chapter.PATHS,
    claim='mapped network memory "becomes unaccounted": also while the guest reclaims; and "its memory is available to '
    'new allocs" then as well',
    clients=[CLIENT],
    exercised_by=held_under_pressure,
    judged_by=[exact(HELD, PRESSED), returned],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=10,
)
def pressure(pair: Steps) -> None:
    """Hold 48 MiB; take memory until the kernel has to reclaim; let go while that lasts."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    held = pair.checkpoint(HELD)
    if held is not None:
        with pair.pressure(held.meminfo["MemTotal"], until_stall=True):
            pair.checkpoint(PRESSED)
            pair.release(CLIENT)
            pair.charge_gone(CLIENT)
            pair.checkpoint(RELEASED)
    pair.end()
