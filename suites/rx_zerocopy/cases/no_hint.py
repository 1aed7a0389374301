# SPDX-License-Identifier: GPL-2.0-only
"""Pages mapped without TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT: how every program maps that does not know the flag.

With the flag a program promises that the range is unmapped. Without it `tcp_zerocopy_receive()` of net/ipv4/tcp.c calls
`zap_page_range_single()` on the range before it inserts anything. The other clients of the lab always set it.

**Experiment.** `fresh` holds 24 MiB on ranges that are clean. `over` gets 48 MiB into 16 MiB of address space, which it
never unmaps: each call has the kernel unmap what an earlier one mapped. Both compare every byte as they map it: what
the TLB still had of an old page would show.

**Rules.** `exact`: charged is what each holds, no less and no more. A page that was zapped and stayed charged is as
wrong as one that is free. `bytes-equal`. `exercised`: `over` mapped twice what its page tables hold in the end, by
/proc/self/pagemap. It unmaps nothing, so the kernel did.

**Tolerance.** 64 pages a CPU and 512 KiB either way, as in `cross-memcg`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.claims import bytes_equal
from suites.rx_zerocopy.rules.paths import held_and_mapped_over

if TYPE_CHECKING:
    from lab.trial.steps import Steps

FRESH = ClientSpec("fresh", Behaviour.HOLD_NO_HINT, None, 24 * MIB, verify=True)
OVER = ClientSpec("over", Behaviour.MAP_OVER_NO_HINT, None, 48 * MIB, verify=True)


@case(
    chapter=Chapter.PATHS,
    claim='mapped network memory "becomes unaccounted after getting mapped into the application address space": also '
    "where the caller does not promise that the range is clean",
    clients=[FRESH, OVER],
    subject=FRESH,
    exercised_by=held_and_mapped_over,
    judged_by=[exact(), bytes_equal],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def no_hint(pair: Steps) -> None:
    """Map without the hint: 24 MiB onto clean ranges and keep them, and 48 MiB over the same 16 MiB of addresses."""
    keep_and_release(pair)
