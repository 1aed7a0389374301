# SPDX-License-Identifier: GPL-2.0-only
"""The hint is a lie: it says that the range is unmapped, and it is not.

`vm_insert_pages()` then stops at the first page with EBUSY, and `tcp_zerocopy_vm_insert_batch_error()` of
net/ipv4/tcp.c unmaps the rest of the range and inserts once more. A design that charges before or after the first try
has to be right on the second one too, and about the pages that were unmapped between them.

**Experiment.** A client gets 64 MiB into 16 MiB of address space with the hint set, and never unmaps anything. It
compares every byte as it maps it.

**Rules.** `exact`, `bytes-equal`, `exercised`: as in `no-hint`. With the hint set, nothing but that second try unmaps
a page. A call asks for 64 KiB: it unmaps no more than that ahead, so that many calls find a page in their way.
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
from suites.rx_zerocopy.rules.paths import mapped_over

if TYPE_CHECKING:
    from lab.trial.steps import Steps

OVER = ClientSpec("over", Behaviour.MAP_OVER, None, 64 * MIB, verify=True)


@case(
    chapter=Chapter.PATHS,
    claim="what is inserted on the second try, after EBUSY and an unmapping, is charged as on the first, and what was "
    "unmapped for it no more",
    source="net/ipv4/tcp.c, tcp_zerocopy_vm_insert_batch_error()",
    clients=[OVER],
    exercised_by=mapped_over(OVER.name),
    judged_by=[exact(), bytes_equal],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def map_over(pair: Steps) -> None:
    """Map 64 MiB over the same 16 MiB of addresses with the hint set, and never unmap."""
    keep_and_release(pair)
