# SPDX-License-Identifier: GPL-2.0-only
"""Does a page pool count the pages that a client pins?

A page pool looks at the reference count when a packet is freed. A page that somebody else has too (it is mapped, or in
a pipe) leaves the pool, which counts it in `recycle_released_refcnt`; it is freed the ordinary way later. So the kernel
itself counts pinned pages, one by one: a third witness beside the client's own count by page frame, and free memory.
virtio_net takes its pages from a page pool since 7.1 (24fbd3967f3f), but for big packets (`mrg_rxbuf=off`).

**Experiment.** A client maps 64 MiB, splices them into pipes, and unmaps them, as in `release`. The pool's counters are
read before, and while the pages are in the pipes.

**Rule `released`.** The counter has grown by exactly the number of pages that the client keeps. No tolerance: all that
was delivered was taken, so no packet waits any more, and nothing else on the link takes a second reference.

**Exercised.** Enough is pinned, nothing is in the page tables any more, and the link's driver has a page pool that
tells what it counts. Where it has none, the verdict is ERROR ("no page pool here"), and that is predicted.

**What designs should show.** All of them leave the pool to itself: PASS. A design that made pinned pages come back to
the pool (what `pool-return` does with a pool of its own) would have to count them there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour, holder
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.pools import pinned_from_a_pool, released
from suites.rx_zerocopy.shares import is_pooled

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder(Behaviour.PIN_VMSPLICE)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) a page pool counts each page that was pinned when its packet was freed",
    source="__page_pool_put_page() of net/core/page_pool.c",
    clients=[CLIENT],
    exercised_by=pinned_from_a_pool,
    judged_by=[released],
    expect=on_all(PASS),
    possible=is_pooled,
)
def pool_release(pair: Steps) -> None:
    """Map 1 x limit, vmsplice it into pipes and unmap it, and read the counters of the driver's page pool."""
    keep_and_release(pair)
