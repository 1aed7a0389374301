# SPDX-License-Identifier: GPL-2.0-only
"""The kernel designs that can be argued about, and what each is predicted to do in each case.

Source: the thread of March 2021 "memcg accounting for TCP rx zerocopy" (A. Roy, J. Weiner). A prediction is never a
verdict: the lab measures, and sets the two side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from lab.plan.nics import NICS


class Predicted(StrEnum):
    """What is expected of a run. `open`: the thread does not say, so any word that was measured will do.

    DONE: a number is asked for, and nothing is promised of it.
    """

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    ERROR = "ERROR"
    SKIP = "SKIP"
    DONE = "DONE"
    OPEN = "open"


@dataclass(frozen=True)
class Design:
    """One way to charge (or not to charge) pages mapped by TCP_ZEROCOPY_RECEIVE.

    drivers   whose pages it accounts for, by kernel module (`lo`: the loopback hands on what the sending socket
              allocated); on every other NIC it behaves like stock. None: all
    """

    name: str
    summary: str
    drivers: frozenset[str] | None = None


OPTED_IN = frozenset({"e1000e", "virtio_net"})
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
        ),
        Design(
            "pool-return",
            "precharged; at refcount zero the page returns to the network's pool and is uncharged there",
            OPTED_IN | {"lo"},
        ),
    )
}

_P, _F, _N, _O, _D = Predicted.PASS, Predicted.FAIL, Predicted.SKIP, Predicted.OPEN, Predicted.DONE


def _row(
    *, stock: Predicted, precharge: Predicted, unmap_hook: Predicted, put_hook: Predicted, pool_return: Predicted
) -> dict[str, Predicted]:
    columns = {
        "stock": stock,
        "precharge": precharge,
        "unmap-hook": unmap_hook,
        "put-hook": put_hook,
        "pool-return": pool_return,
    }
    return {name: columns[name] for name in DESIGNS}


_PIN_OTHER = _row(stock=_F, precharge=_O, unmap_hook=_O, put_hook=_P, pool_return=_P)

# The thread's claims as they were read before anything was run.
PREDICTIONS: dict[str, dict[str, Predicted]] = {
    "hold": _row(stock=_F, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "pin-vmsplice": _row(stock=_F, precharge=_F, unmap_hook=_F, put_hook=_P, pool_return=_P),
    "pin-sendzc": _PIN_OTHER,
    "pin-fork": _PIN_OTHER,
    "pin-tee": _PIN_OTHER,
    "pin-uring": _row(stock=_O, precharge=_O, unmap_hook=_O, put_hook=_O, pool_return=_O),
    "never-over": _row(stock=_N, precharge=_P, unmap_hook=_F, put_hook=_P, pool_return=_P),
    "never-over-lowered": _row(stock=_N, precharge=_P, unmap_hook=_F, put_hook=_P, pool_return=_P),
    "refused": _row(stock=_N, precharge=_P, unmap_hook=_N, put_hook=_P, pool_return=_P),
    "double-count": _row(stock=_N, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "double-count-1": _row(stock=_N, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "double-count-16": _row(stock=_N, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "file-mapped": _row(stock=_F, precharge=_P, unmap_hook=_O, put_hook=_P, pool_return=_P),
    "release": _row(stock=_P, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "dead-memcg": _row(stock=_P, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "cross-memcg": _row(stock=_N, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "opt-in": _row(stock=_N, precharge=_N, unmap_hook=_N, put_hook=_P, pool_return=_N),
    "visible": _row(stock=_N, precharge=_N, unmap_hook=_N, put_hook=_N, pool_return=_P),
    "reclaim": _row(stock=_N, precharge=_N, unmap_hook=_N, put_hook=_N, pool_return=_P),
    "bystander": _row(stock=_F, precharge=_F, unmap_hook=_F, put_hook=_P, pool_return=_P),
    "copy-control": _row(stock=_P, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "sock-control": _row(stock=_P, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "bytes-equal": _row(stock=_P, precharge=_P, unmap_hook=_P, put_hook=_P, pool_return=_P),
    "cost": _row(stock=_D, precharge=_D, unmap_hook=_D, put_hook=_D, pool_return=_D),
}

ON_ANY_DRIVER = frozenset({"opt-in"})
"""Cases that ask what happens on a driver that a design does not account for, as well as on one that it does."""

WHY_NOT: dict[str, str] = {
    **dict.fromkeys(
        ("never-over", "never-over-lowered"), "mapped pages are charged to nobody, so no limit can be passed"
    ),
    **dict.fromkeys(
        ("double-count", "double-count-1", "double-count-16"),
        "mapped pages are charged to nobody, so nothing is charged twice",
    ),
    "refused": "no page is refused at the limit: mapped pages are charged to nobody, or by force",
    "cross-memcg": "mapped pages are charged to nobody, so never to somebody else",
    "opt-in": f"drivers need not opt in: it has no {OPT_IN_SYSCTL}",
    "visible": "it has no pool of network pages to count",
    "reclaim": "it has no pool of network pages to give back",
}
"""Why a case of PREDICTIONS does not apply to a design."""


def design_of(kernel: str) -> str:
    """The design in a kernel's full name `DESIGN[+OVERLAY...][~MUTANT]`."""
    return re.split(r"[+~]", kernel, maxsplit=1)[0]


def acts_as(design: str, nic: str, case: str) -> str:
    """The design whose column holds for a case on a NIC: stock where the driver is not one that it accounts for."""
    drivers = DESIGNS[design].drivers
    accounts = drivers is None or (NICS[nic].module or "lo") in drivers or case in ON_ANY_DRIVER
    return design if accounts else "stock"


def inapplicable(design: str, nic: str, case: str) -> str:
    """Why the case says nothing about this design on this NIC; "" when it does."""
    like = acts_as(design, nic, case)
    if PREDICTIONS[case][like] is not Predicted.SKIP:
        return ""
    where = design if like == design else f"{design} on {nic}, whose driver it does not account for"
    return f"n/a for {where}: {WHY_NOT[case]}"
