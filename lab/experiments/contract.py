# SPDX-License-Identifier: GPL-2.0-only
"""What an experiment is to the general rooms: this, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lab.contracts import BootableKernel, Progress
from lab.evidence.model import Evidence
from lab.plan.case import Traffic
from lab.plan.design import Design
from lab.verdict.case import Case


@dataclass(frozen=True)
class Asked:
    """What a user asks of an experiment by a command of its own; options by the names of that command."""

    names: Sequence[str]
    kernels: Sequence[str]
    nics: Sequence[str]
    options: Mapping[str, str]


class More(Protocol):
    """Of an experiment whose cases are found, and built, outside of it: those beside its list, and what all bring."""

    @property
    def command(self) -> str:
        """The command that runs its cases, by names that `lab run` would not know."""

    def named(self, name: str) -> Case | None:
        """PURE. The case of that name, which need not be in the list; None where no case is called so."""

    def chosen(self, asked: Asked, progress: Progress) -> Sequence[str]:
        """EFFECT. The names of the cases that a user means. Raises BadInput with all problems, LabTrouble."""

    def bring(
        self, case: Case, kernel: BootableKernel, options: Mapping[str, str], folder: Path, progress: Progress
    ) -> str:
        """EFFECT. Write what a case needs in guests of that kernel into an empty folder, where its script finds it.

        Returns what is worth telling, "" for nothing. Raises BadInput, LabTrouble.
        """


@dataclass(frozen=True)
class Experiment:
    """A package of suites/ that has an `experiment.py` with one of these, called EXPERIMENT.

    question  what it asks, as the heading of a report
    designs   the kernel designs it argues about, by name; patches of each lie in images/kernels/NAME/LINE
    cases     by name, in the order in which they are shown; each says how it makes traffic
    more      where its cases are found elsewhere; None where the list is all
    older     how its bundles of earlier days are read that have no manifest, by the name of the file they have instead
    measured  the traffic whose share the table of NIC profiles records, where it is this experiment's
    """

    name: str
    question: str
    designs: Mapping[str, Design]
    cases: Mapping[str, Case]
    more: More | None = None
    older: Mapping[str, Callable[[Mapping[str, bytes]], tuple[Evidence, Case]]] = field(default_factory=dict)
    measured: Traffic | None = None
