# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary receive calls: what a limit is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour, abuser
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import contained
from suites.rx_zerocopy.rules.exercised import took

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ABUSER = abuser(Behaviour.COPY)


@case(
    chapter=Chapter.CONTROL,
    claim="(control) ordinary recv into anonymous memory is charged and contained",
    clients=[ABUSER],
    exercised_by=took(2),
    judged_by=[contained],
    expect=on_all(PASS),
    maps=False,
    seconds=3,
)
def copy_control(pair: Steps) -> None:
    """Recv 4 x limit into fresh anonymous memory."""
    pair.start(ABUSER)
    pair.delivered(ABUSER)
    pair.end()
