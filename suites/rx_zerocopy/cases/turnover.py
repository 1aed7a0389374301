# SPDX-License-Identifier: GPL-2.0-only
"""Very many pages through one client that keeps none: what of the charge stays behind?

**Experiment.** `few` maps, reads and unmaps 16 MiB, and lets go. `many` does the same with 1 GiB, sixty-four times its
limit of 16 MiB, and lets go too.

**Why 1 GiB, and not 4.** Under emulation some 40 to 90 MB/s come through: 4 GiB are a minute and more. The rule
tolerates 96 pages on one CPU, whatever came by; so one page in 1000 that is never uncharged shows from 97,000 mapped
pages on, 380 MiB. 1 GiB is 262,144 pages: 262 of them stay, nearly three times what is tolerated, and on a driver of
which four tenths can be mapped (e1000) still 117. `exercised` asks for those 97,000.

**Rules.** `turned-over`: when both have let go and live on, `many` is charged for no more than the batch of each CPU
and 32 pages more than `few` was. The two are the same program, so whatever a process costs is on both sides. Then both
end and their cgroups are removed: `balanced` holds the cgroup above against what it was before. The finding says how
many pages /proc/kpagecgroup counts as well: a charge that stays without a page shows in the counter alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.paths import turned, turned_over

if TYPE_CHECKING:
    from lab.trial.steps import Steps

LITTLE = 16 * MIB
FEW = ClientSpec("few", Behaviour.MAP, LITTLE, LITTLE)
MANY = ClientSpec("many", Behaviour.MAP, LITTLE, 1024 * MIB)
FEW_DONE = Checkpoint("few")
"""When the one that had few pages come by has let go."""


@case(
    chapter=Chapter.PATHS,
    claim='the charge lifetime "ends when the object is fed back to whatever pool it came out of": of every page, '
    "however many come by",
    clients=[FEW, MANY],
    exercised_by=turned,
    judged_by=[turned_over],
    expect=on_all(PASS),
    seconds=25,
)
def turnover(pair: Steps) -> None:
    """Map, read and unmap 1 GiB under a limit of 16 MiB; compare what stays charged with a client that had 16 MiB."""
    for client, done in ((FEW, FEW_DONE), (MANY, RELEASED)):
        pair.start(client)
        pair.delivered(client)
        if client is MANY:
            pair.checkpoint(HELD)
        pair.release(client)
        pair.charge_gone(client)
        pair.checkpoint(done)
    pair.end()
