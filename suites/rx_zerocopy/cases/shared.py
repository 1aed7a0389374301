# SPDX-License-Identifier: GPL-2.0-only
"""Two processes that map one socket, each for itself; then one of them calls execve().

A socket may be mapped by whoever has it: by fork() or by SCM_RIGHTS. `tcp_zerocopy_receive()` of net/ipv4/tcp.c looks
up the mapping in the caller's address space, so each receives into its own. A page belongs to one of them, although
both have the file and their mappings lie in one `i_mmap`. execve() drops the old address space (`exec_mmap()` of
fs/exec.c) while the process lives on, and by another way than exit does.

**Experiment.** A client has a partner, by fork() before anything is mapped, in the cgroup `partner`. They take turns at
receiving 48 MiB, a MiB each, and keep it. It is counted. The partner calls execve(), lives on, and it is counted again.
Then the client lets go.

**Rules.** `each-pays`: at `held` and at `execed` each cgroup is charged for what its own process has mapped, within 64
pages a CPU and 512 KiB either way; at `execed` that is nothing for the partner, whose memory is back within 8 MiB or a
tenth. `returned` after the release.

**Exercised.** Both held a sixth of the stream; one process was in `partner` before and after execve().
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec, Group
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules import groups
from suites.rx_zerocopy.rules.claims import returned

if TYPE_CHECKING:
    from lab.trial.steps import Steps

PARTNER = Group(groups.PARTNER)
CLIENT = ClientSpec("abuser", Behaviour.HOLD, None, 48 * MIB, shares_in=PARTNER)
EXECED = Checkpoint(groups.EXECED)


@case(
    chapter=Chapter.PATHS,
    claim='"A memory area is charged to the cgroup which instantiated it and stays charged to the cgroup until the '
    'area is released": each mapping of a socket to whoever made it, until execve() releases it',
    source="Documentation/admin-guide/cgroup-v2.rst, Memory Ownership",
    clients=[CLIENT],
    groups=[PARTNER],
    exercised_by=groups.shared_by_two,
    judged_by=[groups.each_pays, returned],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def shared(pair: Steps) -> None:
    """Two processes in two cgroups take turns at mapping 48 MiB from one socket; then one of them calls execve()."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    pair.exec_partner(CLIENT)
    pair.checkpoint(EXECED)
    pair.release(CLIENT)
    pair.charge_gone(CLIENT)
    pair.checkpoint(RELEASED)
    pair.end()
