# SPDX-License-Identifier: GPL-2.0-only
"""What does the accounting cost?

The sentences: "a branch in put_page", and charging on the fast path of a receive call.

**Method.** Two pairs run at once, one with the kernel under test, one with the reference: `--reference`, else the same
without its design and mutant (`put-hook+debug`: `stock+debug`; a distribution's kernel: itself; a kernel from a path:
the first stock one named). A well-behaved client maps, reads and unmaps 128 MiB, fourteen times on each, in the order A
B, B A, A B, ... A QEMU plugin counts every instruction of the receiver; the client marks begin and end with a NOP of
its own, so the count is taken at the instruction. Two trickles of 2 s a side show what a guest executes anyway
(telemetry, ticks: about 13 million instructions a second); that is taken off by time. The result is the median of the
averages of any two log-ratios of neighbouring turns (Hodges-Lehmann), with the exact 95 % interval of Wilcoxon's signed
ranks; `lab judge` computes it again from the counts.

**DONE** measured; nothing is promised. **ERROR** a count is missing; a transfer lasted otherwise on the guest's clock
than on the host's; the mapped shares differ by more than 0.05; the half-width is beyond 3 %; the reference is not
sound; or the same kernel on both sides differs from itself (99.9 %: a false alarm in a thousand). **SKIP** under KVM,
and from QEMU 9 on, which no longer serves version 1 of the plugin API.

**Resolution.** Stock against stock while other work held the load of two cores between 7 and 14: 1.001 [0.989, 1.019]
on e1000e-split, 0.996 [0.986, 1.006] on virtio; beside one other pair 0.998 [0.995, 1.001] on e1000. So 0.5 % to 1.5 %.
MB/s is told as well, but its interval is 10 to 20 % wide there.

**Measured** (6.12.117-lab kernels against `stock`, one pair of pairs at a time, a compiler at the lowest priority
beside them): all eight DONE, intervals of 0.5 to 2 %; the table is in docs/thread.md. At a load of 10 to 16
two of three were ERROR for a wide interval: turns of 4 to 19 s, in which what goes on anyway weighs more than the work.

Run `cost` while nothing else runs.

**What it does not say.** TCG instructions are not cycles: a cache miss costs nothing here, an atomic as much as an add.
A translated block that a fault leaves early counts whole. Both kernels should have one config: a debug kernel against a
plain one compares configs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from lab.verdict.cost import IDLE, TURN
from suites.rx_zerocopy.case import SIDE_BY_SIDE, Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import DONE, on_all
from suites.rx_zerocopy.rules.cost import cost as cost_rule
from suites.rx_zerocopy.rules.cost import reference as reference_rule
from suites.rx_zerocopy.rules.exercised import took_all

if TYPE_CHECKING:
    from lab.trial.steps import Steps

TRICKLES = [ClientSpec(f"{IDLE}{n}", Behaviour.COPY, None, MIB, rate=MIB // 2, ring=MIB) for n in range(2)]
TURNS = [ClientSpec(f"{TURN}{n}", Behaviour.MAP, None, 128 * MIB) for n in range(14)]


@case(
    chapter=Chapter.COST,
    claim='what accounting costs: "a branch in put_page", and charging on the fast path',
    clients=[*TRICKLES, *TURNS],
    subject=TURNS[0],
    exercised_by=took_all,
    judged_by=[reference_rule, cost_rule],
    expect=on_all(DONE),
    shape=SIDE_BY_SIDE,
    seconds=40,
    compares=True,
)
def cost(tested: Steps, reference: Steps) -> None:
    """A well-behaved client takes the same stream on this kernel and on the reference in turns, A B, B A, A B, ...;
    instructions and seconds for each MB."""
    sides = [tested, reference]
    for client in (*TRICKLES, *TURNS):
        for side in sides:
            side.start(client)
            side.delivered(client)
            side.dismiss(client)
        sides.reverse()
    for side in sides:
        side.end()
