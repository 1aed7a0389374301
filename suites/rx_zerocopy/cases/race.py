# SPDX-License-Identifier: GPL-2.0-only
"""What may become of a mapping, all at once, on several CPUs.

Elsewhere a guest has one vCPU and a kernel without preemption, so that one system call after the other is made. A page
is charged, inserted and settled in between nothing; no rmap goes while another comes; no cgroup is removed while its
charges move. `madvise()` takes the mmap lock for reading alone, and so does TCP_ZEROCOPY_RECEIVE, or the lock of the
VMA: the two meet.

**Experiment.** A guest with four vCPUs gets 8 MiB/s for a minute. One thread maps over the same two windows again and
again, with the hint and without. Another one empties parts of them (MADV_DONTNEED), mostly where pages come at that
moment, unmaps parts (munmap) and maps them anew. A third forks children that exit at once. Processes in other cgroups
take from the same sockets in a cgroup that is theirs, and leave it or are killed; it is removed behind them, while
their pages go. Once for eight of these the limit above the client is lowered to what is charged there and 128 KiB, for
30 ms. Then nobody forks or maps anew: that needs memory of other kinds, for which a client that may not be killed would
have the OOM killer look in vain.

**Rules.** `returned` after the release: charge and memory are back, and not below. `nothing-left`: no removed cgroup
lingers, and no page is charged to one. `kernel-alive`: nothing is said on the console. `balanced`, as everywhere.

**Exercised.** More than one vCPU; 16 MiB at least were mapped; 1000 parts unmapped, 25 children forked, 25 sent
through the other cgroup, and the limit lowered 4 times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import RELEASED, ClientSpec, Group, Shape
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import returned
from suites.rx_zerocopy.rules.paths import nothing_left, raced

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SEVERAL = Shape("several-cpus", 768, 256, receiver_vcpus=4)
RATE, SECONDS = 8 * MIB, 60
DRIVERS, LIMITED = Group("drivers"), Group("limited")
CLIENT = ClientSpec(
    "racer", Behaviour.RACE, None, RATE * SECONDS, sockets=2, rate=RATE, races_in=DRIVERS, within=LIMITED
)


@case(
    chapter=Chapter.PATHS,
    claim='the charge lifetime "ends when the object is fed back to whatever pool it came out of": whatever else '
    "happens to the page, its mapping and its cgroup at the same time",
    clients=[CLIENT],
    groups=[DRIVERS, LIMITED],
    shape=SEVERAL,
    exercised_by=raced,
    judged_by=[returned, nothing_left],
    expect=on_all(PASS),
    seconds=SECONDS + 10,
)
def race(pair: Steps) -> None:
    """Receive on four vCPUs for a minute, against munmap, fork, exit, removal of cgroups, and lower limits."""
    pair.bury_control()
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.release(CLIENT)
    pair.charge_gone(CLIENT)
    pair.checkpoint(RELEASED)
    pair.end(until=pair.is_buried, drained=True)
