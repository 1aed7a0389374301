# SPDX-License-Identifier: GPL-2.0-only
"""Do mapped pages count where the rest of the kernel counts them?

> The NR_FILE_MAPPED accounting. It is longstanding Linux behavior that driver pages mapped into userspace are accounted
> as file pages ... There is no reason to make memcg deviate from this.

**Experiment.** Map 64 MiB without a limit set and keep it; ask the client for the Rss of its areas by /proc/self/smaps.
Then it unmaps all of it.

**Rule.** smaps (a walk of the page tables) must equal the client's own count to a page, else ERROR. The growth of
`nr_mapped` in /proc/vmstat and the cgroup's `file_mapped` must each lie within a batch per CPU, 1 MiB (other programs'
mappings come and go) and 2 % of it, else FAIL naming the one that deviates. After the release both must be back within
a batch and 1 MiB of nothing: a mapping that is counted and never taken back shows here and nowhere else, for a page
that is freed is uncharged whatever its mapcount says, unless the kernel checks pages as it frees them (`+debug`: "Bad
page state").

**What was measured** (e1000e-split, 64.0 MiB by smaps): nr_mapped 64.7 MiB everywhere. file_mapped: precharge 64.0,
unmap-hook 0.0: what it charges after the insertion, rmap has counted for nobody. So the case is FAIL on `unmap-hook`,
which the thread's table had left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import MAPPED_NOW, holder
from suites.rx_zerocopy.designs import FAIL, OPEN, PASS, expected
from suites.rx_zerocopy.rules.exercised import took_delivered
from suites.rx_zerocopy.rules.limits import file_mapped as file_mapped_rule

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder()


@case(
    chapter=Chapter.ONCE,
    claim='"It is longstanding Linux behavior that driver pages mapped into userspace are accounted as file '
    'pages ... There is no reason to make memcg deviate from this"',
    clients=[CLIENT],
    exercised_by=took_delivered,
    judged_by=[file_mapped_rule],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=OPEN, put_hook=PASS, pool_return=PASS),
)
def file_mapped(pair: Steps) -> None:
    """Map 1 x limit without a limit set; compare smaps, vmstat and the cgroup's memory.stat."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.read_smaps(CLIENT)
    mapped = pair.counter(CLIENT, MAPPED_NOW)
    pair.settled("file_mapped", lambda s: s.cgroups[CLIENT.name].stat["file_mapped"] >= mapped)
    pair.checkpoint(HELD)
    pair.release(CLIENT)
    pair.settled("file_mapped gone", lambda s: s.cgroups[CLIENT.name].stat["file_mapped"] < MIB)
    pair.checkpoint(RELEASED)
    pair.end()
