# SPDX-License-Identifier: GPL-2.0-only
"""Very many pages through one client that keeps none: what of the charge stays behind?

**Experiment.** `few` maps, reads and unmaps 16 MiB, and lets go. `many` does the same with 768 MiB, forty-eight times
its limit of 16 MiB, and lets go too.

**Why 768 MiB, and not 4 GiB.** Under emulation 15 to 60 MB/s come through: 4 GiB are minutes. The rule tolerates 80
pages on one CPU, whatever came by. So one page in 1000 that is never uncharged shows from 81,000 mapped pages on,
which `exercised` asks for; where the two CPU batches are least in favour, from 144,000 on. 768 MiB are 196,608 pages:
some 185 of them would stay where nine tenths can be mapped. `turnover-4g` takes the 4 GiB, for whoever asks for it by
name: no suite has it. There one page in 5000 would show.

**Rules.** `turned-over`: when both have let go and live on, `many` is charged for no more than the batch of each CPU
and 16 pages more than `few` was. The two are the same program, so whatever a process costs is on both sides. Then both
end and their cgroups are removed: `balanced` holds the cgroup above against what it was before, when no CPU holds
anything back. The finding says how many pages /proc/kpagecgroup counts as well: a charge that stays without a page
shows in the counter alone.

**What was measured** (precharge, 1 GiB): 45 pages less on e1000e-split, 62 more on virtio: the CPU's batch.
"""

from __future__ import annotations

from dataclasses import replace
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
MANY = ClientSpec("many", Behaviour.MAP, LITTLE, 768 * MIB)
VERY_MANY = replace(MANY, deliver=4096 * MIB)
PART = 256 * MIB
"""What may take as long as a whole stream elsewhere."""
FEW_DONE = Checkpoint("few")
"""When the one that had few pages come by has let go."""
CLAIM = (
    'the charge lifetime "ends when the object is fed back to whatever pool it came out of": of every page, '
    "however many come by"
)


def compare(pair: Steps, many: ClientSpec) -> None:
    """What stays charged to one that had few pages come by, and to one that had so many."""
    for client, done in ((FEW, FEW_DONE), (many, RELEASED)):
        pair.start(client)
        for _ in range(client.deliver // PART):
            pair.flowing(client, bytes_more=PART)
        pair.delivered(client)
        if client is many:
            pair.checkpoint(HELD)
        pair.release(client)
        pair.charge_gone(client)
        pair.checkpoint(done)
    pair.end()


@case(
    chapter=Chapter.PATHS,
    claim=CLAIM,
    clients=[FEW, MANY],
    exercised_by=turned,
    judged_by=[turned_over],
    expect=on_all(PASS),
    seconds=25,
)
def turnover(pair: Steps) -> None:
    """Map, read and unmap 768 MiB under a limit of 16 MiB; compare what stays charged with a client that had 16 MiB."""
    compare(pair, MANY)


@case(
    chapter=Chapter.PATHS,
    claim=CLAIM,
    clients=[FEW, VERY_MANY],
    exercised_by=turned,
    judged_by=[turned_over],
    expect=on_all(PASS),
    seconds=150,
)
def turnover_4g(pair: Steps) -> None:
    """Map, read and unmap 4 GiB under a limit of 16 MiB; compare what stays charged with a client that had 16 MiB."""
    compare(pair, VERY_MANY)
