# SPDX-License-Identifier: GPL-2.0-only
"""A client that dies with its pages mapped.

A process that exits unmaps by exit_mmap(), which takes the same path as munmap() only in part, and which a design that
hooks munmap() misses. SIGKILL and the OOM killer are two ways there. The OOM killer is the one that a limit leads to:
`hold` meets it on some designs and on others ENOMEM, so a charge that an OOM victim leaves behind can go unseen there.

**Experiment.** `killed`: a client maps 64 MiB and keeps it; every process in its cgroup gets SIGKILL. `killed-oom`: a
client with a limit of 64 MiB maps 32 MiB and keeps it; then it writes to fresh anonymous memory, page by page, up to
twice its limit. No kernel lets it have that, whether it charges what was mapped or not. Charge and free memory are
counted when it is dead (`dead`), then the cgroup is removed.

**Rule `reaped`.** The cgroup is charged for nothing but what a CPU may hold back. Free memory is back. Once the cgroup
has been removed it is gone: no dying cgroup more than an empty one leaves, and no page that is charged to one.

**Tolerance.** In pages, whatever was held: 64 a CPU (MEMCG_CHARGE_BATCH) and 16 of slab. Free memory: 8 MiB, as in
`release`.

**Exercised.** The client's last line, written before it died, says that it had mapped a third of what was offered at
least. `killed-oom` asks the kernel's own report for the kill, and for the cgroup whose limit it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, Checkpoint, ClientSpec
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import LIMIT, Behaviour, holder
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.deaths import killed_holding, oom_killed_holding, reaped

if TYPE_CHECKING:
    from lab.trial.steps import Steps

DEAD = Checkpoint("dead")
"""When every process of the client has ended, and its cgroup is still there."""
SOURCE = "Documentation/admin-guide/cgroup-v2.rst, Memory Ownership"

CLIENT = holder()
VICTIM = ClientSpec("abuser", Behaviour.HOLD, LIMIT, LIMIT // 2)


def count_dead(pair: Steps, who: ClientSpec) -> None:
    """It is counted what the dead one left; then its cgroup goes, and it is counted again."""
    pair.checkpoint(DEAD, until=pair.bare(who))
    pair.dismiss(who)
    pair.end(until=pair.is_buried, drained=True)


@case(
    chapter=Chapter.LIFETIME,
    claim='a memory area "stays charged to the cgroup until the area is released", and death releases it',
    source=SOURCE,
    clients=[CLIENT],
    exercised_by=killed_holding,
    judged_by=[reaped],
    expect=on_all(PASS),
)
def killed(pair: Steps) -> None:
    """Map 1 x limit without a limit set, kill the holder, count, and remove its cgroup."""
    pair.bury_control()
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    pair.kill(CLIENT)
    count_dead(pair, CLIENT)


@case(
    chapter=Chapter.LIFETIME,
    claim='a memory area "stays charged to the cgroup until the area is released", and the OOM killer releases it',
    source=SOURCE,
    clients=[VICTIM],
    exercised_by=oom_killed_holding,
    judged_by=[reaped],
    expect=on_all(PASS),
)
def killed_oom(pair: Steps) -> None:
    """Map half the limit, take anonymous memory until the OOM killer comes, count, and remove the cgroup."""
    pair.bury_control()
    pair.start(VICTIM)
    pair.delivered(VICTIM)
    pair.checkpoint(HELD)
    pair.grow(VICTIM, 2 * LIMIT)
    count_dead(pair, VICTIM)
