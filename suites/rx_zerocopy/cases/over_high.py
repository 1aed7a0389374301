# SPDX-License-Identifier: GPL-2.0-only
"""memory.high: who maps past it is throttled, and loses nothing.

> If a cgroup's usage goes over the high boundary, the processes of the cgroup are throttled and put under heavy reclaim
> pressure. Going over the high limit never invokes the OOM killer and under extreme conditions the limit may be
> breached.

(Documentation/admin-guide/cgroup-v2.rst.) A page that TCP_ZEROCOPY_RECEIVE maps is on no LRU list, so reclaim gains
nothing, and all that is left is the delay. It grows with the square of the excess (`calculate_high_delay()` of
mm/memcontrol.c), so the case goes over by 1 or 2 MiB only.

**Experiment.** A client without a limit lies in `top`, which has a memory.high of 32 MiB. It maps until it keeps
33 MiB, and takes no more.

**Rules.** `exact` at `held`: charged is what is held, past the boundary as well. `throttled`: memory.events of `top`
counts `high`, and neither `max` nor `oom` nor `oom_kill`. `returned` after the release.

**Exercised.** The client held more than memory.high is.

memory.low and memory.min are left out: they keep reclaim away from pages that reclaim cannot take anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, ClientSpec, Group
from lab.units import KIB, MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.claims import returned
from suites.rx_zerocopy.rules.groups import past_high, throttled

if TYPE_CHECKING:
    from lab.trial.steps import Steps

HIGH = 32 * MIB
TOP = Group("top", high=HIGH)
CLIENT = ClientSpec("abuser", Behaviour.HOLD, None, 96 * MIB, rcvbuf=80 * KIB, most=HIGH + MIB, within=TOP)
"""Is offered enough to come so far where 40 % can be mapped. One socket with a small queue: that is full in the end,
and what lies in it is charged as well."""


@case(
    chapter=Chapter.PATHS,
    claim='"If a cgroup\'s usage goes over the high boundary, the processes of the cgroup are throttled"; that "never '
    'invokes the OOM killer"',
    source="Documentation/admin-guide/cgroup-v2.rst, Memory Interface Files",
    clients=[CLIENT],
    groups=[TOP],
    exercised_by=past_high(HIGH),
    judged_by=[exact(HELD), throttled, returned],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=10,
)
def over_high(pair: Steps) -> None:
    """A client maps 33 MiB below a cgroup whose memory.high is 32 MiB."""
    pair.start()
    pair.delivered()
    pair.still(CLIENT)
    pair.checkpoint(HELD)
    pair.release(CLIENT)
    pair.charge_gone(CLIENT)
    pair.checkpoint(RELEASED)
    pair.end()
