# SPDX-License-Identifier: GPL-2.0-only
"""A peer that never reads pins pages of the sender.

> "Copy avoidance is not a free lunch. As implemented, with page pinning, ..."
> "A zerocopy failure will return -1 with errno ENOBUFS. This happens if the socket exceeds its optmem limit or the user
> exceeds their ulimit on locked pages."

**Experiment.** Three clients send from fresh buffers with MSG_ZEROCOPY, and unmap each buffer when all of it is with
the kernel. Their peers read nothing. Each is stopped by another bound: `sndbuf` by SO_SNDBUF, `memlock`, which has no
privileges, by RLIMIT_MEMLOCK, and `optmem` by net.core.optmem_max, which is set to 4096 while it sends. Then the peers
read, and the kernel lets go.

**Charged to whom.** The pages are anonymous memory of the client's cgroup. That it has unmapped them changes nothing:
a page is uncharged when its last reference is dropped (`__folio_put()` of mm/swap.c), and the sockets have references.
No counter of memory.stat says what these pages are: `anon` counts mapped pages only.

**For how long.** Until the peer has acknowledged them: `returned`. The case `exit-in-flight` asks the same of a process
that has ended.

**Bounded by what.** (Rule `bounded`; a client's least bound is its bound.)

- SO_SNDBUF, each socket: `sk_wmem_queued` counts the pages of pure zerocopy packets too, though they are not charged as
  memory of the socket (`__zerocopy_sg_from_iter()` of net/core/datagram.c). `sk_stream_memory_free()` is asked before
  each packet, so a packet may pass it.
- net.core.optmem_max, each socket: each notification that has not been read takes 576 bytes at least (`sock_omalloc()`
  of net/core/sock.c), and stands for 512 KiB of sends at most (`msg_zerocopy_realloc()` of net/core/skbuff.c).
- RLIMIT_MEMLOCK, all sockets of a user: `mm_account_pinned_pages()` counts the pages of each send, and two more. Who
  has CAP_IPC_LOCK has no such limit.

TCP's own limit, tcp_mem, is no bound: it counts what is charged as memory of sockets, and since 9b65b17db723 pages of
pure zerocopy packets are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD
from lab.units import MIB
from suites.tx_zerocopy.case import Chapter, case, let_read
from suites.tx_zerocopy.clients import WINDOW, Behaviour, Sending
from suites.tx_zerocopy.rules.claims import billed, bounded, returned
from suites.tx_zerocopy.rules.exercised import all_bounded

if TYPE_CHECKING:
    from lab.trial.steps import Steps

OPTMEM_SYSCTL, OPTMEM = "net.core.optmem_max", 4096

BY_OPTMEM = Sending("optmem", Behaviour.KEEP, None, 32 * MIB, 2, sndbuf=16 * MIB, waits=True, window=WINDOW)
BY_MEMLOCK = Sending(
    "memlock", Behaviour.KEEP, None, 32 * MIB, 2, sndbuf=16 * MIB, memlock=8 * MIB, waits=True, window=WINDOW
)
BY_SNDBUF = Sending("sndbuf", Behaviour.KEEP, None, 64 * MIB, 4, sndbuf=4 * MIB, waits=True, window=WINDOW)


@case(
    chapter=Chapter.CHARGE,
    claim="pages of a sender whose peer never reads are charged to the sender until they are acknowledged, and bounded "
    "by SO_SNDBUF, optmem_max and RLIMIT_MEMLOCK",
    source="Documentation/networking/msg_zerocopy.rst, Transmission; commits f214f915e7db and a91dbff551a6",
    clients=[BY_OPTMEM, BY_MEMLOCK, BY_SNDBUF],
    exercised_by=all_bounded,
    judged_by=[billed, bounded, returned],
    seconds=8,
)
def pinned_by_a_slow_peer(pair: Steps) -> None:
    """Three clients send to peers that read nothing, each until another bound stops it; then the peers read."""
    with pair.sysctl(OPTMEM_SYSCTL, OPTMEM):
        pair.start(BY_OPTMEM)
        pair.delivered(BY_OPTMEM)
    pair.start(BY_MEMLOCK, BY_SNDBUF)
    pair.delivered()
    pair.checkpoint(HELD)
    let_read(pair, BY_OPTMEM, BY_MEMLOCK, BY_SNDBUF)
    pair.end()
