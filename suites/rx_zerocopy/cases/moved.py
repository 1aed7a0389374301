# SPDX-License-Identifier: GPL-2.0-only
"""A socket, or a process, that comes from another cgroup: who pays for what is mapped?

> A memory area is charged to the cgroup which instantiated it and stays charged to the cgroup until the area is
> released. Migrating a process to a different cgroup doesn't move the memory usages that it instantiated while in the
> previous cgroup to the new cgroup.

(Documentation/admin-guide/cgroup-v2.rst, Memory Ownership.) The queue of a socket belongs to the cgroup whose process
accepted it (`mem_cgroup_sk_alloc()` in `inet_csk_accept()`), the pages that are mapped from it to who maps them. So the
two can differ, and all five designs charge `current->mm`.

**Experiment.** `passed` has its connection accepted by another process, in the cgroup `elsewhere`, which hands the
socket over by SCM_RIGHTS; it holds 24 MiB. `mover` takes 48 MiB at 12 MiB/s; when it holds 16, it moves to the cgroup
`next` and goes on.

**Rule `one-pays`.** At `held`: `passed` is charged for all that it holds, and `elsewhere`, but for what is queued, for
nothing. The cgroup that `mover` left is charged for what it held when it left (it says so in that moment, between two
calls), the one it went to for what it has mapped since. Each within 64 pages a CPU and 512 KiB, either way: somebody
pays for each page, and nobody twice.

**Exercised.** Both hold enough of what they were offered; `mover` held a sixth of it when it left, and has mapped as
much since.

Threads of a threaded cgroup are left out: the memory controller is not threaded, so all of a process's charges go to
one cgroup (`mem_cgroup_from_task()` of `mm->owner`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, ClientSpec, Group
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import HOLDS, Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.groups import moved_on, one_pays

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ELSEWHERE, NEXT = Group("elsewhere"), Group("next")
PASSED = ClientSpec("passed", Behaviour.HOLD, None, 24 * MIB, accepts_in=ELSEWHERE)
MOVER = ClientSpec("mover", Behaviour.HOLD, None, 48 * MIB, rate=12 * MIB)


@case(
    chapter=Chapter.PATHS,
    claim='"A memory area is charged to the cgroup which instantiated it and stays charged to the cgroup until the '
    'area is released": whoever accepted the socket, and wherever the process went',
    source="Documentation/admin-guide/cgroup-v2.rst, Memory Ownership",
    clients=[PASSED, MOVER],
    subject=PASSED,
    groups=[ELSEWHERE, NEXT],
    exercised_by=moved_on,
    judged_by=[one_pays],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def moved(pair: Steps) -> None:
    """Hold what another cgroup's process accepted and handed over; hold, move to another cgroup, and go on."""
    pair.start(PASSED)
    pair.delivered(PASSED)
    pair.start(MOVER)
    pair.flowing(MOVER, bytes_more=16 * MIB, into=HOLDS)
    pair.move(MOVER, NEXT)
    pair.delivered(MOVER)
    pair.checkpoint(HELD)
    pair.release()  # uncounted: what the process was charged for of its own stays with the cgroup that it left
    pair.end()
