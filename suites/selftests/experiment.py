# SPDX-License-Identifier: GPL-2.0-only
"""This experiment, as the general rooms know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.experiments.contract import Experiment
from suites.selftests.case import case_of
from suites.selftests.more import More
from suites.selftests.table import RECORD, SELFTEST_ROWS

if TYPE_CHECKING:
    from lab.evidence.model import Evidence
    from lab.verdict.case import Case


def _older(files: Mapping[str, bytes]) -> tuple[Evidence, Case]:
    """Only who judges needs what reads a bundle."""
    from suites.selftests.older import parse_older

    return parse_older(files)


EXPERIMENT = Experiment(
    name="selftests",
    question="Does the kernel pass its own tests?",
    designs={},
    cases={row.name: case_of(row) for row in SELFTEST_ROWS.values()},
    more=More(),
    older={RECORD: _older},
)
