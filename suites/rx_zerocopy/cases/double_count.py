# SPDX-License-Identifier: GPL-2.0-only
"""A page that is charged as data in a queue, and as mapped: `double-count` (64 sockets), `-16`, `-1`.

> The period of double counting in v1 of this patch was from around the time we do vm_insert_page() ... till the struct
> sk_buff's were disposed of - for an skb that's up to 45 pages. ... But note that is for one socket, and there can be
> quite a lot of open sockets

> even a thousand threads reading from a thousand sockets at exactly the same time would double charge a maximum of 175M
> for a brief period of time

**Experiment.** S sockets; the whole of each stream is queued first, then the client maps all but its last page. The
last packet of each socket therefore stays in the queue, charged as a whole as `sock`, with all but one of its pages
mapped and charged as well: the double charge stands still and can be read. (While a call runs it is larger:
`tcp_zerocopy_receive()` frees the packets it has mapped only when it is about to return, so all that one call maps,
`--chunk`, 1 MiB by default, is charged twice for that long. The bound of 45 pages holds between calls, not within one:
for those the bound is what the callers ask for at a time, over the threads that are in the call.)

**Threads** are no parameter of their own. The second quotation has S threads in S sockets stopped at the worst moment,
each with a packet mapped and not yet freed; that is the state in which S sockets stand still here, whoever took them
there. What threads would add is how many calls run at once, and these guests have one CPU.

**Rule.** `twice`: charged less live (mapped, or queued by FIONREAD) is at most 45 pages a socket, a batch per CPU and 1
MiB for the process itself. Where less than half of what is mapped is charged besides `sock`, it is ERROR: nothing is
charged twice that is not charged once. `exercised` wants `sock` to exceed what is queued by a page a socket, else
nothing was counted twice. On `stock` it does not apply.

**What was measured** (precharge, unmap-hook and put-hook; e1000e-split and, for put-hook, virtio): 64 sockets 4.0 to
4.9 MiB, about 17 pages each (MAX_SKB_FRAGS); 16 sockets 1.1 to 1.4 MiB; 1 socket 0.1 to 0.4 MiB, of which the process
itself is most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, ClientSpec
from lab.units import KIB, MIB, PAGE_SIZE
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import QUEUED, Behaviour
from suites.rx_zerocopy.designs import N_A, PASS, expected
from suites.rx_zerocopy.rules.exercised import left_behind
from suites.rx_zerocopy.rules.limits import twice

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLAIM = (
    "\"The period of double counting ... till the struct sk_buff's were disposed of - for an skb that's up to "
    '45 pages. ... But note that is for one socket, and there can be quite a lot of open sockets"'
)
EXPECT = expected(stock=N_A, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS)
WHY_NOT = "mapped pages are charged to nobody, so nothing is charged twice"


def _client(sockets: int, share: int) -> ClientSpec:
    """`share` are bytes a socket: several packets, so that the last of them is a whole one."""
    rcvbuf = min(4 * share, 8 * MIB)
    return ClientSpec("abuser", Behaviour.HOLD, None, sockets * share, sockets, rcvbuf=rcvbuf, leave=PAGE_SIZE)


ONE = _client(1, 8 * MIB)  # what begins a stream comes in packets that cannot be mapped
SIXTEEN = _client(16, 256 * KIB)
MANY = _client(64, 128 * KIB)


def _leave_one_page_in_each_socket(pair: Steps, abuser: ClientSpec) -> None:
    """Every socket's packets are mapped but for the last page, which keeps its packet in the queue."""
    pair.start(abuser)
    pair.delivered(abuser)
    queued = pair.counter(abuser, QUEUED)
    pair.settled("sock charge", lambda s: s.cgroups[abuser.name].stat["sock"] >= queued)
    pair.checkpoint(HELD)
    pair.release()
    pair.checkpoint(RELEASED)
    pair.end()


@case(
    chapter=Chapter.ONCE,
    claim=CLAIM,
    clients=[MANY],
    exercised_by=left_behind,
    judged_by=[twice],
    expect=EXPECT,
    why_not=WHY_NOT,
    seconds=3,
)
def double_count(pair: Steps) -> None:
    """64 sockets: map all but the last page of each, so that the last packet stays charged as a whole."""
    _leave_one_page_in_each_socket(pair, MANY)


@case(
    chapter=Chapter.ONCE,
    claim=CLAIM,
    clients=[ONE],
    exercised_by=left_behind,
    judged_by=[twice],
    expect=EXPECT,
    why_not=WHY_NOT,
    seconds=3,
)
def double_count_1(pair: Steps) -> None:
    """1 socket: map all but the last page of each, so that the last packet stays charged as a whole."""
    _leave_one_page_in_each_socket(pair, ONE)


@case(
    chapter=Chapter.ONCE,
    claim=CLAIM,
    clients=[SIXTEEN],
    exercised_by=left_behind,
    judged_by=[twice],
    expect=EXPECT,
    why_not=WHY_NOT,
    seconds=3,
)
def double_count_16(pair: Steps) -> None:
    """16 sockets: map all but the last page of each, so that the last packet stays charged as a whole."""
    _leave_one_page_in_each_socket(pair, SIXTEEN)
