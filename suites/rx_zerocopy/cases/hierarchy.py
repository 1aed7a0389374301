# SPDX-License-Identifier: GPL-2.0-only
"""Cgroups within cgroups: every level is charged, and a limit holds for all that is below it.

> memory.current: The total amount of memory currently being used by the cgroup and its descendants.

> memory.max: Memory usage hard limit. This is the main mechanism to limit memory usage of a cgroup.

(Documentation/admin-guide/cgroup-v2.rst.) The clients of the other cases are one level below the cgroup of all, and
their limits are their own.

**Experiment.** `left` and `right` lie in `mid`, which lies in `top`; `apart` lies in `beside`. `top` may have 48 MiB,
nobody else has a limit. `apart` holds 16 MiB. `left` maps up to 24 MiB and keeps them; then `right` maps as many of 96
as it gets, until it is refused. The OOM killer may not take these two, as in `never-over`.

**Rules.** `levels`: at `held` each cgroup that holds others is charged for what those are charged, no less, and no more
than a batch a CPU and 32 pages beside. The cgroup of all is held against those right below it by `balanced`. `exact`:
`apart`, which is not below `top`, is charged for what it holds, and for nobody else. Of the other two `balanced` says
that no page they map is charged to nobody, and `levels` that their charges add up; their sockets are full.
`limit-above`: what is charged to `top`, but for queues, is at most its limit, a batch and 1 MiB for each client.

**Exercised.** `top` had its limit, and was charged half of it or more; one of its clients was refused with ENOMEM by
TCP_ZEROCOPY_RECEIVE, or the two held more than the limit.

**Not applicable** to stock, nor to a driver that the design does not account for: nothing is charged on any level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, ClientSpec, Group
from lab.units import KIB, MIB, PAGE_SIZE
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, N_A, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.groups import levels, limit_above, tried_the_limit_above

if TYPE_CHECKING:
    from lab.trial.steps import Steps

TOP = Group("top", limit=48 * MIB)
MID = Group("mid", within=TOP)
BESIDE = Group("beside")


def _below(name: str, sockets: int) -> ClientSpec:
    """One of two that share the limit. A socket's share fills one page table, and its queue stays small."""
    deliver = sockets * (2 * MIB - PAGE_SIZE)
    return ClientSpec(name, Behaviour.HOLD, None, deliver, sockets, rcvbuf=80 * KIB, unkillable=True, within=MID)


LEFT, RIGHT = _below("left", sockets=12), _below("right", sockets=48)
APART = ClientSpec("apart", Behaviour.HOLD, None, 16 * MIB, within=BESIDE)


@case(
    chapter=Chapter.PATHS,
    claim='memory.current is "the total amount of memory currently being used by the cgroup and its descendants", and '
    "memory.max limits it on each level",
    source="Documentation/admin-guide/cgroup-v2.rst, Memory Interface Files",
    clients=[APART, LEFT, RIGHT],
    groups=[TOP, MID, BESIDE],
    exercised_by=tried_the_limit_above,
    judged_by=[levels, limit_above, exact(clients=[APART.name])],
    expect=expected(stock=N_A, precharge=PASS, unmap_hook=FAIL, put_hook=PASS, pool_return=PASS),
    why_not="mapped pages are charged to nobody, on no level",
    seconds=10,
)
def hierarchy(pair: Steps) -> None:
    """Two clients map against a limit two levels above them; a third one holds 16 MiB in another branch."""
    pair.start(APART)
    pair.delivered(APART)
    for client in (LEFT, RIGHT):
        pair.start(client)
        pair.until_something_gives(client, patience=pair.limits.standstill)
        pair.still(client)
    pair.checkpoint(HELD)
    pair.release()
    pair.checkpoint(RELEASED)
    pair.end()
