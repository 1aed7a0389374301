# SPDX-License-Identifier: GPL-2.0-only
"""Five ways to charge (or not to charge) pages that TCP_ZEROCOPY_RECEIVE maps.

Source: the thread of March 2021 "memcg accounting for TCP rx zerocopy" (A. Roy, J. Weiner). What cases expect of them
is what the thread claims, as it was read before anything was run.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.plan.design import Design, Predicted
from suites.rx_zerocopy.shares import is_pooled

OPTED_IN = frozenset({"e1000e", "virtio_net"})
"""Drivers that were told of `put-hook` and `pool-return`. Pages of a driver's page pool are neither's: it keeps its own
things in the words where their marks would be (images/kernels/put-hook/README.md)."""
OPT_IN_SYSCTL = "net.ipv4.tcp_rx_zerocopy_accounted_only"
"""What a driver that has not opted in gets on `put-hook`: 0 unaccounted zerocopy, 1 EINVAL."""

DESIGNS: dict[str, Design] = {
    d.name: d
    for d in (
        Design("stock", "today's kernel: mapped pages are charged to no memcg"),
        Design("precharge", "charged before they are inserted, uncharged when unmapped"),
        Design("unmap-hook", "inserted, then force-charged; uncharged when the mapcount reaches zero"),
        Design(
            "put-hook",
            "precharged; uncharged in the put path when the driver, which has opted in, holds all remaining references",
            OPTED_IN,
            is_pooled,
        ),
        Design(
            "pool-return",
            "precharged; at refcount zero the page returns to the network's pool and is uncharged there",
            OPTED_IN | {"lo"},
            is_pooled,
        ),
    )
}

PASS, FAIL, DONE = Predicted.PASS, Predicted.FAIL, Predicted.DONE
OPEN = Predicted.OPEN
"""The thread does not say."""
N_A = Predicted.SKIP
"""The case says nothing about such a kernel; its `why_not` tells why."""


def expected(
    *, stock: Predicted, precharge: Predicted, unmap_hook: Predicted, put_hook: Predicted, pool_return: Predicted
) -> Mapping[str, Predicted]:
    """What a case should show on each of them."""
    words = (stock, precharge, unmap_hook, put_hook, pool_return)
    return dict(zip(DESIGNS, words, strict=True))


def on_all(word: Predicted) -> Mapping[str, Predicted]:
    """The same of each of them."""
    return dict.fromkeys(DESIGNS, word)
