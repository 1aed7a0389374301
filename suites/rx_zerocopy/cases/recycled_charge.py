# SPDX-License-Identifier: GPL-2.0-only
"""A page that is unmapped before its packet is freed goes back to the driver's page pool: with its charge? With whose?

> When sitting in the driver page pool, non-null memcg does not work since we do not know which socket (thus which
> memcg) the page would be destined for since we do not know whose packet arrives next.

A charge that ends with the last reference does not end there: a page pool never drops it. When the packet is freed the
page has one reference, the pool's, and lies in its ring until the next packet comes, whoever receives it.

**Experiment.** 12 sockets; the whole of each stream is queued first, then the client maps all but the last 4 KiB of
each and unmaps it. So the last packets stay in the queues, with pages that were mapped and are not any more. A second
client lets its own stream queue up, so that the pool's ring is empty. Then the first one closes its sockets: their
packets are freed, and their pages go to the ring. The client leaves its cgroup, which is removed.

**Rule `recycled`.** Then no page is charged to a removed cgroup, by /proc/kpagecgroup, up to 8. A page of the ring that
is charged still would keep the dead cgroup, and be the next receiver's.

**Exercised.** At least 24 pages that were mapped did not leave the pool (what the client mapped, less what
`recycle_released_refcnt` has grown by), and the ring took them all. Where the link's driver has no page pool, the
verdict is ERROR ("no page pool here"), and that is predicted. ERROR is predicted on `virtio-mrg` too, whose packets
have 64 KiB: it is chance whether anything of the last one was mapped (0 to 42 pages in 14 runs of 7.3).

**What each design should show.** `stock` charges nothing: PASS. `precharge` and `unmap-hook` uncharge when a page is
unmapped, which comes before: PASS. `put-hook` asks the driver at each put whether all remaining references are its own:
at the unmapping they are the pool's, so it is to say yes, PASS. `pool-return` promises that a charge ends where the
page returns to the network's pool: PASS, if the driver's page pool is one. Both have to be told of page pools for that,
and a port that uncharges at a count of zero alone gives FAIL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.plan.nics import NicProfile
from lab.units import KIB, MIB, PAGE_SIZE
from suites.rx_zerocopy.case import REMOVED, THREAD, Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.pools import recycled, went_back
from suites.rx_zerocopy.shares import is_pooled

if TYPE_CHECKING:
    from lab.trial.steps import Steps

MAPPER = ClientSpec("mapper", Behaviour.MAP, None, 12 * 300 * KIB, 12, rcvbuf=1 * MIB, leave=PAGE_SIZE)
"""300 KiB end with five packets of 8,948 bytes, which a queue makes one skb of; twelve of them fit into the ring."""
READER = ClientSpec("reader", Behaviour.SLOW, None, 8 * MIB, rcvbuf=4 * MIB)
"""Some MiB in its queue empty the ring, which has 256 pages (virtqueue_get_vring_size())."""
JUMBO = 9000
LEFT = Checkpoint("left")
"""When the last packets of each socket have pages that were mapped, and are not any more."""


def ends_with_small_packets(nic: NicProfile, release: str) -> bool:
    """Whether pages that were mapped lie in the packets at the end of a stream, and go back to a page pool."""
    return is_pooled(nic, release) and nic.mtu <= JUMBO


@case(
    chapter=Chapter.LIFETIME,
    claim='"When sitting in the driver page pool, non-null memcg does not work since we do not know which socket (thus '
    'which memcg) the page would be destined for"',
    source=THREAD,
    clients=[MAPPER, READER],
    subject=MAPPER,
    exercised_by=went_back,
    judged_by=[recycled],
    expect=on_all(PASS),
    possible=ends_with_small_packets,
    maps=False,
)
def recycled_charge(pair: Steps) -> None:
    """Unmap pages whose packets wait in the queue still, empty the pool's ring, free the packets, remove the cgroup."""
    pair.start(MAPPER)
    pair.delivered(MAPPER)
    pair.checkpoint(LEFT)
    pair.start(READER)
    pair.delivered(READER)
    pair.checkpoint(HELD)
    pair.release(MAPPER)
    pair.checkpoint(RELEASED)
    pair.bury(MAPPER)
    pair.checkpoint(REMOVED)
    pair.end()
