# SPDX-License-Identifier: GPL-2.0-only
"""What an experiment is to the general rooms: this, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.plan.case import Traffic
from lab.plan.design import Design
from lab.verdict.case import Case


@dataclass(frozen=True)
class Experiment:
    """A package of suites/ that has an `experiment.py` with one of these, called EXPERIMENT.

    question  what it asks, as the heading of a report
    designs   the kernel designs it argues about, by name; patches of each lie in images/kernels/NAME
    cases     by name, in the order in which they are shown; each says how it makes traffic
    measured  the traffic whose share the table of NIC profiles records, where it is this experiment's
    """

    name: str
    question: str
    designs: Mapping[str, Design]
    cases: Mapping[str, Case]
    measured: Traffic | None = None
