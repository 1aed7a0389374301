# SPDX-License-Identifier: GPL-2.0-only
"""A child that outlives its parent: who maps a page first need not be who unmaps it last.

fork() copies the page tables of a mapping of TCP (it is VM_MIXEDMAP), so the child has the same pages.

**Experiment.** A client holds 40 MiB, forks a child, and ends. The child does nothing but live, in the same cgroup. It
is counted. Then the child is killed by cgroup.kill, and it is counted again.

**Rule `inherited`.** When the parent has ended, the cgroup is charged for what it held, within 64 pages a CPU and 512
KiB either way, and that much memory is still gone (8 MiB or a tenth; else ERROR). When the child has ended too, the
cgroup is charged for no more than that tolerance, and the memory is back within 8 MiB.

**Exercised.** The parent held enough of what it was offered; at `outlived` one process was in the cgroup, at `released`
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.groups import inherited, outlived

if TYPE_CHECKING:
    from lab.trial.steps import Steps

PARENT = ClientSpec("abuser", Behaviour.HOLD, None, 40 * MIB)
OUTLIVED = Checkpoint("outlived")
"""When the parent has ended, and the child still has what it mapped."""


@case(
    chapter=Chapter.PATHS,
    claim='a charge "ends when the object is fed back to whatever pool it came out of": not when who mapped it ends, '
    "as long as a child has it still",
    clients=[PARENT],
    exercised_by=outlived,
    judged_by=[inherited],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
)
def heir(pair: Steps) -> None:
    """Hold 40 MiB, fork a child, and end; then the child is killed."""
    pair.start(PARENT)
    pair.delivered(PARENT)
    pair.checkpoint(HELD)
    pair.leave_heir(PARENT)
    pair.checkpoint(OUTLIVED)
    pair.kill_group(PARENT)
    pair.checkpoint(RELEASED)
    pair.end()
