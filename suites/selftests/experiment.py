# SPDX-License-Identifier: GPL-2.0-only
"""This experiment, as the general rooms know it."""

from __future__ import annotations

from lab.experiments.contract import Experiment
from suites.selftests.case import case_of
from suites.selftests.more import More
from suites.selftests.older import RECORD, parse_older
from suites.selftests.table import SELFTEST_ROWS

EXPERIMENT = Experiment(
    name="selftests",
    question="Does the kernel pass its own tests?",
    designs={},
    cases={row.name: case_of(row) for row in SELFTEST_ROWS.values()},
    more=More(),
    older={RECORD: parse_older},
)
