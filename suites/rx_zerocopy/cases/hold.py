# SPDX-License-Identifier: GPL-2.0-only
"""Map, and never unmap: the hole that began the thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour, abuser
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.claims import billed
from suites.rx_zerocopy.rules.exercised import PAST, took

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ABUSER = abuser(Behaviour.HOLD)


@case(
    chapter=Chapter.ESCAPE,
    claim='mapped network memory "becomes unaccounted after getting mapped into the application address space"',
    clients=[ABUSER],
    exercised_by=took(PAST),
    judged_by=[billed],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
)
def hold(pair: Steps) -> None:
    """Map 4 x limit, never unmap."""
    keep_and_release(pair)
