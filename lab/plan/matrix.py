# SPDX-License-Identifier: GPL-2.0-only
"""Expands what the user wrote into runs, and runs into groups that may share a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lab.plan.case import STANDARD, CaseSpec, Shape
from lab.plan.names import FAMILIES, Family, digest
from lab.plan.nics import ALONE, NICS, NicProfile


@dataclass(frozen=True)
class Run:
    """One cell of kernel x NIC profile x case, and its number when the cell is repeated.

    kernel is the resolved name of a kernel, design the row of the designs table it is expected to behave like;
    traffic is the key of what its pair has to prove first, and of the guest that is under test there;
    layer is the key of the programs that its guests have beside those of the image, "" for none;
    reference is the kernel it is compared with, "" in a case that compares nothing; batch is a number of running_order,
    and seconds is how long it is expected to take there; family is what its streams go over.
    """

    session: str
    kernel: str
    design: str
    nic: str
    case: str
    repeat: int
    reference: str = ""
    batch: int = 0
    seconds: float = 0.0
    shape: Shape = STANDARD
    traffic: str = ""
    layer: str = ""
    family: Family = "ipv4"

    @property
    def id(self) -> str:
        cell = digest(self.session, self.kernel, self.nic, self.case, self.repeat)
        return f"{self.case.replace('/', '.')}.{self.nic}.{cell}"

    @property
    def seed(self) -> int:
        """Seed of the byte streams; the same cell sends the same bytes in every session."""
        return int(digest("seed", self.kernel, self.nic, self.case, self.repeat), 16)

    @property
    def profile(self) -> NicProfile:
        return NICS[self.nic]

    @property
    def pair_key(self) -> str:
        """Runs with the same key can use the same pair, one after the other."""
        return f"{self.kernel}/{self.nic}/{self.shape.name}/{self.traffic}/{self.layer}"

    @property
    def label(self) -> str:
        """What pytest shows between the brackets."""
        tail = f"-{self.repeat}" if self.repeat else ""
        return f"{self.kernel}-{self.nic}{tail}"


def family_of(case: CaseSpec, repeat: int) -> Family:
    """Over which family a run's streams go: that of its case, else either in turn. Of the first runs of all cases one
    half begins with IPv4; which half, their names say."""
    return case.family or FAMILIES[(int(digest("family", case.name), 16) + repeat) % len(FAMILIES)]


def expand(
    session: str,
    kernels: Sequence[tuple[str, str]],
    nics: Sequence[str],
    cases: Sequence[CaseSpec],
    repeat: int,
    references: Mapping[str, str] = MappingProxyType({}),
    family: Family | None = None,
    layers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Run, ...]:
    """All runs of kernels (name, design) x nics x cases x repeats, in that order; each once, for a case that needs no
    link has the same runs with every NIC.

    references has, by the name of each kernel, the one that cases which compare set beside it; family is that of every
    run whose case does not insist on one, None for either in turn; layers has, by the name of a case, the key of the
    programs that it needs, where it needs any.
    """
    runs = (
        Run(
            session,
            kernel,
            design,
            ALONE if case.alone else nic,
            case.name,
            n,
            reference=references[kernel] if case.compares else "",
            seconds=case.seconds,
            shape=case.shape,
            traffic=case.traffic.key if case.traffic else "",
            layer=layers.get(case.name, ""),
            family=case.family or family or family_of(case, n),
        )
        for kernel, design in kernels
        for nic in nics
        for case in cases
        for n in range(repeat)
    )
    return tuple(dict.fromkeys(runs))
