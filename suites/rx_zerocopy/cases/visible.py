# SPDX-License-Identifier: GPL-2.0-only
"""Counters of a page pool.

> "It'd be great if it could track used and cached pages and report to vmstat."

**Experiment.** A client holds 64 MiB and releases it. `nr_netpool_used` and `nr_netpool_cached` of /proc/vmstat are
read at the checkpoints before, while it holds, and after, beside the client's own count by page frame.

**Rule `counted`.** (1) While the pages are held, `used` has grown by what the client holds. (2) After release `used` is
back where it began. (3) What was released is cached, or free again: the growth of `cached` and of MemFree together is
what was held. A pool that says it has pages which the page allocator has too fails (3). No counters at all is a FAIL.

**Tolerance.** 5 % and 2 MiB for `used` (rings are refilled, queues move: less than 0.1 MiB were seen); 10 % or 8 MiB
for (3), which has MemFree in it.

**Not applicable** where the design has no pool, and to NICs whose driver does not take its pages from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import holder
from suites.rx_zerocopy.designs import N_A, PASS, expected
from suites.rx_zerocopy.rules.designs import counted
from suites.rx_zerocopy.rules.exercised import took_delivered

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder()


@case(
    chapter=Chapter.DESIGN,
    claim='"It\'d be great if it could track used and cached pages and report to vmstat"',
    clients=[CLIENT],
    exercised_by=took_delivered,
    judged_by=[counted],
    expect=expected(stock=N_A, precharge=N_A, unmap_hook=N_A, put_hook=N_A, pool_return=PASS),
    why_not="it has no pool of network pages to count",
)
def visible(pair: Steps) -> None:
    """Hold 1 x limit and release it, and read the counters beside the client's own count."""
    keep_and_release(pair)
