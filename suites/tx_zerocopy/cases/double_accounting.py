# SPDX-License-Identifier: GPL-2.0-only
"""A page that is sent is charged once.

> "All of the data in such skbs is held in user pages which are already accounted to user. Before this change, they are
> charged again in kernel in __zerocopy_sg_from_iter."

**Experiment.** A client keeps 64 MiB in flight to a peer that reads nothing. `sock` of its memory.stat is read, and the
growth of memory.current is set beside the bytes in flight.

**Rule `once`.** Neither `sock`, nor what is charged beyond the bytes in flight, is more than an eighth of these: the
packets themselves have a size. Before v5.16 each page was charged a second time, as memory of the socket, and `sock`
was as much as is in flight. The case `tx-copy-control` shows that `sock` does count what is copied.

**Measured.** 6.12.117, e1000e-split: 63.5 MiB in flight, 65.0 MiB charged, 1.4 MiB of it as `sock`. The same kernel
without the line of `tcp_sendmsg_locked()` that sets SKBFL_PURE_ZEROCOPY: 45.1 MiB in flight, 91.1 MiB charged, 45.8 MiB
of it as `sock`, FAIL. The sender was stopped there: that is about what tcp_mem allows a guest of 512 MiB.

**What it does not say.** A packet that holds copied bytes as well as zerocopy pages is charged for all of them
(`tcp_downgrade_zcopy_pure()` of net/ipv4/tcp.c): who mixes both in one packet pays twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD
from suites.tx_zerocopy.case import Chapter, case, let_read
from suites.tx_zerocopy.clients import keeper
from suites.tx_zerocopy.rules.claims import billed, once
from suites.tx_zerocopy.rules.exercised import kept_in_flight

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SENDER = keeper()


@case(
    chapter=Chapter.ONCE,
    claim='"All of the data in such skbs is held in user pages which are already accounted to user"',
    source='commit 9b65b17db723, "net: avoid double accounting for pure zerocopy skbs", v5.16',
    clients=[SENDER],
    exercised_by=kept_in_flight,
    judged_by=[billed, once],
)
def double_accounting(pair: Steps) -> None:
    """64 MiB are sent to a peer that reads nothing, and `sock` of memory.stat is read; then the peer reads."""
    pair.start()
    pair.delivered()
    pair.checkpoint(HELD)
    let_read(pair, SENDER)
    pair.end()
