# SPDX-License-Identifier: GPL-2.0-only
"""What a refusal leaves behind.

> Working around native VM accounting; adding custom accounting that is inconsistent with the rest of the system;
> force-charging a quantity of memory that the container may not be entitled to. Please revert back to precharging like
> in v1.

A kernel that precharges has an error path: at the limit nothing more is mapped, the error is returned, and the caller
copies. Each refusal may come in the middle of a batch, with pages charged that have to be mapped all the same, or
uncharged.

**Experiment.** 96 sockets map against the limit. The OOM killer may not take the client (`oom_score_adj` -1000), and
what the kernel refuses it receives by copy (at most 64 KiB, then it maps again), until all 192 MiB have come. It drops
every reference, leaves its cgroup, and the cgroup is removed.

**Rules.** `returned` after the release, as in `release`; `buried` after the removal, as in `dead-memcg`: a page that a
refusal leaves charged shows as a page of a removed cgroup, a reference as one that lingers. `exercised` asks for at
least 50 refusals with ENOMEM and for all of the stream. stock charges nothing and unmap-hook forces the charge, so
neither ever refuses: n/a.

**Why a client that goes on may pass its limit, and why that is no FAIL.** The case does not judge how far the limit
holds; `never-over` does, with a client that stops at its first refusal. This one goes on, and comes to be charged for
far more than 64 MiB (measured below). In 6.12 it happens so:

1. A packet comes in. `__sk_mem_raise_allocated()` charges it with `gfp_memcg_charge()`, which is GFP_ATOMIC in softirq
   context. At the limit `try_charge_memcg()` may not reclaim for it, goes to `nomem`, finds `__GFP_HIGH` set, and
   forces the charge: memory.current grows past memory.max by each packet.
2. The client takes the packet, mapped or copied. `mem_cgroup_uncharge_skmem()` does not lower memory.current:
   `refill_stock()` keeps up to 64 pages as the CPU's stock.
3. The next page to be mapped is charged by `try_charge_memcg()`, whose first step is `consume_stock()`: granted,
   without a look at the limit.

So what was forced for the queue turns into a charge for something that is kept, 64 pages at a time, and the next
packets are forced again.

That these are the steps was tried by taking the first away (precharge, e1000e-split, two runs each): booted with
`cgroup.memory=nosocket`, which charges no socket, the same client held 62.3 MiB, was refused 2147 and 2189 times, and
memory.peak was 64.0 MiB. With sockets charged it held 157.9 and 163.1 MiB and was refused 143 and 134 times.

None of the three steps is the design's: the first is TCP's, the others are memcg's, and the third grants any page of
the same cgroup. On Debian's 6.12.117, which charges no mapped page, a client that receives by ordinary `recv()` into
fresh anonymous memory on 96 sockets took 65.0, 86.0 and 90.1 MiB of a limit of 64 before the OOM killer came, and 64.0
with `nosocket`. The design asks for each page before it maps it, and takes no for an answer; the sentence above forbids
the opposite. Nothing escapes either: all that is held is charged, and comes back. A rule that failed a design for this
would fail whatever is charged by way of memcg's own interface beside a socket that receives. What it shows is that
memory.max bounds less than it says where TCP receives, on stock kernels too.

**What was measured** (e1000e-split, limit 64 MiB): precharge was refused 134 to 143 times, put-hook 149 times,
put-hook+recycling 136, pool-return 152; charge back to 1.1 MiB, no page and no cgroup left. Held, and charged for, were
155 to 166 MiB. `put-hook~charge-leaked-on-error`: 10.6 MiB still charged after release, 2467 pages charged to the
removed cgroup. `put-hook~ref-leaked-on-error`: nothing charged, one dying cgroup more than the control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED
from suites.rx_zerocopy.case import REMOVED, Chapter, case
from suites.rx_zerocopy.clients import Behaviour, against_the_limit
from suites.rx_zerocopy.designs import N_A, PASS, expected
from suites.rx_zerocopy.rules.claims import buried, returned
from suites.rx_zerocopy.rules.limits import turned_away

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ABUSER = against_the_limit(Behaviour.HOLD_OR_COPY, sockets=96)


@case(
    chapter=Chapter.LIMIT,
    claim='"... force-charging a quantity of memory that the container may not be entitled to. Please revert back to '
    'precharging like in v1": at the limit nothing more is mapped, and the error is returned',
    clients=[ABUSER],
    exercised_by=turned_away,
    judged_by=[returned, buried],
    expect=expected(stock=N_A, precharge=PASS, unmap_hook=N_A, put_hook=PASS, pool_return=PASS),
    why_not="no page is refused at the limit: mapped pages are charged to nobody, or by force",
)
def refused(pair: Steps) -> None:
    """96 sockets go on mapping against the limit and copy what is refused; then every reference is dropped, and
    the cgroup is removed."""
    pair.bury_control()
    pair.start(ABUSER)
    pair.delivered(ABUSER)
    pair.checkpoint(HELD)
    pair.release(ABUSER)
    pair.charge_gone(ABUSER)
    pair.checkpoint(RELEASED)
    pair.bury(ABUSER)
    pair.checkpoint(REMOVED)
    pair.end(until=pair.is_buried, drained=True)
