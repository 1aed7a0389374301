# SPDX-License-Identifier: GPL-2.0-only
"""A page pool that gives back.

> "It would also be good if it could integrate with the page reclaim path and return any unused pages when the system is
> struggling with memory pressure."

**Experiment.** A client holds 64 MiB and releases it, which fills the pool. Then `lab-press`, in no limited cgroup,
writes to fresh anonymous memory: as much as MemFree says, and three quarters of what the pool has cached. That can be
had only if the pool gives pages back; the page cache is too small to make up for it. `lab-press` has `oom_score_adj`
1000, so it is what a kernel kills that keeps its pool instead.

**Rule `given-back`.** `nr_netpool_cached` has fallen to half or less, nobody was killed for memory, and no memory is
gone that no counter explains.

**Tolerance.** Three quarters are asked for and half must come: reclaim takes from the page cache as well, some 30 MiB
here. What is gone may be 8 MiB, as in `release`.

**Exercised.** At least a quarter of what was offered was cached after release, and more was taken than was free (or the
taker died of it).

**Not applicable** where the design has no pool, and to NICs whose driver does not take its pages from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.evidence.memory import beyond_free
from lab.plan.case import HELD, RELEASED, Checkpoint
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import holder
from suites.rx_zerocopy.designs import N_A, PASS, expected
from suites.rx_zerocopy.rules.designs import filled_and_pressed, given_back

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder()
PRESSED = Checkpoint("pressed")
"""When more memory was taken than is free without the pool's pages."""


@case(
    chapter=Chapter.DESIGN,
    claim='"return any unused pages when the system is struggling with memory pressure"',
    clients=[CLIENT],
    exercised_by=filled_and_pressed,
    judged_by=[given_back],
    expect=expected(stock=N_A, precharge=N_A, unmap_hook=N_A, put_hook=N_A, pool_return=PASS),
    why_not="it has no pool of network pages to give back",
)
def reclaim(pair: Steps) -> None:
    """Fill the pool by holding and releasing 1 x limit, then take more memory than is free without its pages."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    pair.release(CLIENT)
    pair.charge_gone(CLIENT)
    released = pair.checkpoint(RELEASED)
    if released is not None:
        with pair.pressure(beyond_free(released)):
            pair.checkpoint(PRESSED)
    pair.end()
