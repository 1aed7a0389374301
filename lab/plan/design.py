# SPDX-License-Identifier: GPL-2.0-only
"""The kernel designs that can be argued about, and the words in which something is expected of them.

An expectation is never a verdict: the lab measures, and sets the two side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lab.plan.nics import NicProfile

STOCK = "stock"
"""The design of a kernel as it is packaged, and of one that nobody has said anything else about."""


class Predicted(StrEnum):
    """What is expected of a run. `open`: nobody said what to expect, so any word that was measured will do.

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
    """One way in which a kernel could account for memory.

    drivers   whose pages it accounts for, by kernel module (`lo`: the loopback hands on what the sending socket
              allocated); on every other NIC it behaves like stock. None: all
    leaves    whether it leaves alone what a NIC delivers on a kernel of this release, though the driver is one of them
    """

    name: str
    summary: str
    drivers: frozenset[str] | None = None
    leaves: Callable[[NicProfile, str], bool] = lambda _nic, _release: False

    def accounts_for(self, nic: NicProfile, release: str) -> bool:
        """Whether it does something else than stock with what this NIC delivers on a kernel of this release."""
        if self.name == STOCK:
            return False
        return (self.drivers is None or (nic.module or "lo") in self.drivers) and not self.leaves(nic, release)


def design_of(kernel: str) -> str:
    """The design in a kernel's full name `DESIGN[+OVERLAY...][~MUTANT]`."""
    return re.split(r"[+~]", kernel, maxsplit=1)[0]
