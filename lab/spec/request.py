# SPDX-License-Identifier: GPL-2.0-only
"""What a user asks a session for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.contracts import EMBEDDED

MAX_REPEAT = 1000
"""Times that a cell may be run in one session."""


@dataclass(frozen=True)
class SessionRequest:
    """What the user asked for; empty tuples mean what the suite says.

    names     suites or cases;  suites what may be a suite only
    pairs     how many at once, 0 for as many as fit
    cold      every pair boots; else it is restored from a saved state, which is made where there is none
    experiment  "", or the one whose own command was used: names are what its cases may be called there, and options
              what else it is told by that command
    reference the kernel that cases which compare set beside each other one; "" for the stock one of its kind
    family    what streams go over, ipv4 or ipv6; "" for either in turn
    expect    the word that every run is expected to get; "" for what its case predicts
    first     whether no run begins after one that failed, erred or missed and was not to
    seconds   from its start after which a session begins no run; 0 for no limit
    """

    names: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    nics: tuple[str, ...] = ()
    repeat: int = 0
    pairs: int = 0
    connect: str = EMBEDDED
    accelerator: str = "auto"
    command: str = ""
    reference: str = ""
    family: str = ""
    expect: str = ""
    first: bool = False
    seconds: float = 0.0
    cold: bool = False
    experiment: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
