# SPDX-License-Identifier: GPL-2.0-only
"""Unmap, and keep the pages in a pipe: where a charge that ends with the mapping ends too soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour, abuser
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.claims import billed
from suites.rx_zerocopy.rules.exercised import PAST, took

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ABUSER = abuser(Behaviour.PIN_VMSPLICE)


@case(
    chapter=Chapter.ESCAPE,
    claim='"The user may have vmspliced those pages into a pipe and be pinning them long after the unmap"',
    clients=[ABUSER],
    exercised_by=took(PAST),
    judged_by=[billed],
    expect=expected(stock=FAIL, precharge=FAIL, unmap_hook=FAIL, put_hook=PASS, pool_return=PASS),
)
def pin_vmsplice(pair: Steps) -> None:
    """Map, vmsplice into pipes, unmap, repeat to 4 x limit."""
    keep_and_release(pair)
