# SPDX-License-Identifier: GPL-2.0-only
"""A selftest as a case: what is planned of it, what is done, and the rules."""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from lab.plan.case import BARE as UNPROVED
from lab.plan.design import STOCK, Predicted
from lab.verdict.case import Case
from lab.verdict.rules import BARE
from suites.selftests import table
from suites.selftests.rules import rules_of
from suites.selftests.script import run_selftest
from suites.selftests.table import SELFTESTS, Selftest

if TYPE_CHECKING:
    from lab.evidence.model import Evidence
    from suites.selftests.record import Selftold

USUAL_SECONDS = 20
"""What a test takes, more or less; it orders the work until this host has seen one."""


def case_of(test: Selftest) -> Case:
    """The case that runs a test. Every kernel should pass it."""
    where = "in the receiver of a pair, which reaches the sender over the link" if test.pair else "in one guest"
    return Case(
        name=test.name,
        claim="a kernel passes the tests that come with it",
        source=f"{SELFTESTS}/{test.name}",
        how=f"{SELFTESTS.name}/{test.name} is run {where}",
        clients=(),
        subject="",
        shape=UNPROVED,
        seconds=USUAL_SECONDS,
        alone=not test.pair,
        rules=(*BARE, *rules_of(test)),
        script=run_selftest,
        expect={STOCK: Predicted.PASS},
        page=textwrap.fill(f"{test.name}: {test.reason}.", 100),
        file=table.__file__ or str(Path(__file__)),
        read=functools.partial(_read, test=test),
    )


def _read(evidence: Evidence, test: Selftest) -> Selftold:
    """Only who judges needs what reads a bundle."""
    from suites.selftests.record import selftold

    return selftold(evidence, test)
