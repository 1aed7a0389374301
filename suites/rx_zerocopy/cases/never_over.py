# SPDX-License-Identifier: GPL-2.0-only
"""A limit that holds by refusing: `never-over`, and `never-over-lowered`.

> Working around native VM accounting; adding custom accounting that is inconsistent with the rest of the system;
> force-charging a quantity of memory that the container may not be entitled to.

**Experiment.** 64 sockets map 2.6 x a limit of 48 MiB as fast as they can; so they come to it on e1000 too, where four
tenths can be mapped. The OOM killer may not take the client (`oom_score_adj` -1000), so the limit has to hold by
refusing. Its own memory is there before the first byte: buffers, notes of page frames, and the page tables of all its
windows. Without that, a kernel that forces the charges of pages would still be stopped, by the page table that it is
refused; and a process that may not be killed repeats a page fault that its limit refuses for ever. Each socket may
queue 160 KiB, 10 MiB in all: left to itself the kernel lets queues grow by tens of MiB whenever the client is late, and
the limit is reached with little mapped. It is counted when the charge no longer moves, for the sender goes on filling
queues after the refusal.

**Rule.** At the checkpoint `held`, memory.current less what is charged for queued data is at most the limit, a batch
per CPU and 1 MiB (page tables, sockets). The client never unmaps, so this is its most. What it holds must be charged
(else ERROR: no limit was tried). `exercised`: it held its limit, or was refused more with ENOMEM beyond half of it. A
client that takes nothing more for 20 s is judged where it stands: FAIL when it is over its limit, else ERROR, for it
was not refused.

**Why not memory.peak.** Precharge passes the limit too, by 13.5 MiB with eight sockets and by 30 with 64. TCP charges
incoming data in softirq context with GFP_ATOMIC, and `try_charge_memcg()` lets such a charge through rather than refuse
it. That is so on every kernel, and not what the sentence is about; so charges for queues are left out: the larger of
`sock` and the growth of TCP's own memory, for memory.stat is flushed late. An ordinary client does not separate the
designs either: a forced charge at the limit kills it after one batch.

**A limit that is lowered** (`never-over-lowered`). The same client takes 8 MiB a second; once it holds 20 MiB,
memory.max is set to 16 MiB. Nothing can be reclaimed or killed, so what is charged stays; from then on every page
must be refused. Rule `lowered`: from the checkpoint `lowered` to `held` what is charged but for queues grows by 8 MiB
or a tenth at most: until its first refusal the client may get pages out of the CPU's stock (`refused` says how).
`exercised`: the limit was lowered below what was charged while the client still ran, and it was refused with ENOMEM
afterwards or took all that was offered. Measured (limit lowered to 16 MiB): on precharge, put-hook, pool-return and
with recycling, three NIC profiles, 23.5 to 36.1 MiB charged when it was lowered and 0.3 MiB less to 0.2 more at the
end; unmap-hook 24.6 to 44.5 and then 56.3 (e1000) to 126.4: FAIL.

**What was measured** (limit 48 MiB, e1000e-split, virtio and e1000): precharge 39.3 to 44.5 MiB charged but for queues
(memory.peak up to 54.8), with recycling 40.7 to 45.3, put-hook 42.4 and 47.4, pool-return 42.0 and 47.8; unmap-hook
125.8, 104.9 and, on e1000, 56.4: FAIL. With a limit of 64 MiB `put-hook~force-charged` had 125.0. A stock kernel passed
off as precharge is ERROR: 127.8 MiB held, 0.8 charged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.units import KIB, MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import HOLDS, Behaviour, against_the_limit
from suites.rx_zerocopy.designs import FAIL, N_A, PASS, expected
from suites.rx_zerocopy.rules.limits import lowered, tried_the_limit, tried_the_lower_limit
from suites.rx_zerocopy.rules.limits import never_over as never_over_rule

if TYPE_CHECKING:
    from lab.trial.steps import Steps

LOWERED = Checkpoint("lowered")
"""When memory.max has been set below what is charged."""

ABUSER = against_the_limit(Behaviour.HOLD, sockets=64, limit=48 * MIB, rcvbuf=80 * KIB)
"""Comes to its limit where four tenths of what it takes can be mapped (profile e1000), and is offered little more
than that needs: what is charged by force beyond a limit comes slowly."""

SLOW = replace(ABUSER, rate=8 * MIB, lowered=16 * MIB)

CLAIM = '"force-charging a quantity of memory that the container may not be entitled to"'
EXPECT = expected(stock=N_A, precharge=PASS, unmap_hook=FAIL, put_hook=PASS, pool_return=PASS)
WHY_NOT = "mapped pages are charged to nobody, so no limit can be passed"


def _until_refused(pair: Steps, abuser: ClientSpec) -> None:
    pair.until_something_gives(abuser, patience=pair.limits.standstill)
    pair.still(abuser)
    pair.checkpoint(HELD)
    pair.release()
    pair.checkpoint(RELEASED)
    pair.end()


@case(
    chapter=Chapter.LIMIT,
    claim=CLAIM,
    clients=[ABUSER],
    exercised_by=tried_the_limit,
    judged_by=[never_over_rule],
    expect=EXPECT,
    why_not=WHY_NOT,
)
def never_over(pair: Steps) -> None:
    """64 sockets map 2.6 x a limit of 48 MiB as fast as they can, by a client that the OOM killer may not take."""
    pair.start(ABUSER)
    _until_refused(pair, ABUSER)


@case(
    chapter=Chapter.LIMIT,
    claim=CLAIM,
    clients=[SLOW],
    exercised_by=tried_the_lower_limit,
    judged_by=[lowered],
    expect=EXPECT,
    why_not=WHY_NOT,
)
def never_over_lowered(pair: Steps) -> None:
    """The same at a steady rate, and memory.max is lowered to 16 MiB once the client holds more than that."""
    pair.start(SLOW)
    pair.flowing(SLOW, bytes_more=20 * MIB, into=HOLDS)
    pair.lower_limit(SLOW)
    pair.checkpoint(LOWERED)
    _until_refused(pair, SLOW)
