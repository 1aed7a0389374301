# SPDX-License-Identifier: GPL-2.0-only
"""Pages that one cgroup gave back come by in another.

> "The page in the pool may keep a memcg pinned for arbitrary long time or may get used by other memcg."

**Experiment.** Six clients of two parties (a, b), each in a cgroup of its own without a limit, on one NIC. a1, b1, a2,
b2 take turns: hold 24 MiB, be counted, release. Then a3 and b3 hold at the same time. So the pages that a driver's
cache or the network's pool keeps from one turn come by in the next one, in another memcg. A kernel with the overlay
`recycling` is where it matters most: its e1000e reuses up to 512 pages.

**Rule `own-bill`.** At the checkpoint of every turn each cgroup's `memory.current`, less what it was before the first
byte came, lies within the tolerance of what its client holds at that moment: the holder's is no less (somebody else
would be paying), and that of everybody who has released is nothing (they would still be paying for pages that are
another's now). What it was before lies between two bounds, for a sample takes time to be read, and memory.stat lags; a
bill that is right for one of them and wrong for the other is ERROR.

**Tolerance.** 64 pages per CPU, by which the counter may lag, and 512 KiB for the client's own page tables and notes;
above, also what memory.stat calls `sock` and TCP has queued. Together 768 KiB on one CPU, so that 2 MiB of cached pages
on the wrong bill are seen: the 5 % of `hold` would hide them.

**Exercised.** Each client held at least a third of what it was offered, in its own turn.

**Not applicable** to stock, nor to a driver that the design does not account for: nothing is charged, so never to
somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import N_A, PASS, expected
from suites.rx_zerocopy.rules.designs import own_bill, took_turns

if TYPE_CHECKING:
    from lab.trial.steps import Steps

A1, B1, A2, B2, A3, B3 = CLIENTS = [
    ClientSpec(name, Behaviour.HOLD, None, 24 * MIB) for name in ("a1", "b1", "a2", "b2", "a3", "b3")
]
TURNS = {A1: Checkpoint("a1"), B1: Checkpoint("b1"), A2: Checkpoint("a2"), B2: HELD}
BOTH = Checkpoint("both")


@case(
    chapter=Chapter.DESIGN,
    claim='"The page in the pool ... may get used by other memcg"',
    clients=CLIENTS,
    subject=B2,
    exercised_by=took_turns,
    judged_by=[own_bill],
    expect=expected(stock=N_A, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    why_not="mapped pages are charged to nobody, so never to somebody else",
    seconds=10,
)
def cross_memcg(pair: Steps) -> None:
    """Clients of two parties, each in a cgroup of its own, take turns at holding and releasing; then both hold."""
    for client, turn in TURNS.items():
        pair.start(client)
        pair.delivered(client)
        pair.checkpoint(turn)
        pair.release(client)
        pair.charge_gone(client)
    pair.start(A3, B3)
    pair.delivered(A3, B3)
    pair.checkpoint(BOTH)
    pair.release()
    pair.end()
