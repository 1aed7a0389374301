"""The kernel designs that can be argued about, and the word each is predicted to get in each case.

Source: the thread of March 2021 "memcg accounting for TCP rx zerocopy" (A. Roy, J. Weiner). A prediction is never a
verdict: the lab measures, and sets the two side by side.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Design:
    """One way to charge (or not to charge) pages mapped by TCP_ZEROCOPY_RECEIVE.

    fails     cases that it is predicted to FAIL; every other case is predicted to PASS
    """

    name: str
    summary: str
    fails: frozenset[str]


DESIGNS: dict[str, Design] = {
    d.name: d
    for d in (
        Design(
            "stock",
            "today's kernel: mapped pages are charged to no memcg",
            frozenset({"hold", "pin-vmsplice", "bystander"}),
        ),
        Design(
            "precharge",
            "charged before they are inserted, uncharged when unmapped",
            frozenset({"pin-vmsplice", "bystander"}),
        ),
        Design(
            "unmap-hook",
            "inserted, then force-charged; uncharged when the mapcount reaches zero",
            frozenset({"pin-vmsplice", "bystander"}),
        ),
        Design(
            "put-hook",
            "precharged; uncharged in the put path when the driver holds all remaining references",
            frozenset(),
        ),
        Design(
            "pool-return",
            "precharged; at refcount zero the page returns to the network's pool and is uncharged there",
            frozenset(),
        ),
    )
}
