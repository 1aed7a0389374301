# SPDX-License-Identifier: GPL-2.0-only
"""A cgroup that is removed while its pages are out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED
from suites.rx_zerocopy.case import REMOVED, Chapter, case
from suites.rx_zerocopy.clients import holder
from suites.rx_zerocopy.designs import PASS, on_all
from suites.rx_zerocopy.rules.claims import buried
from suites.rx_zerocopy.rules.exercised import still_out

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = holder()


@case(
    chapter=Chapter.LIFETIME,
    claim='"The page in the pool may keep a memcg pinned for arbitrary long time"',
    clients=[CLIENT],
    exercised_by=still_out,
    judged_by=[buried],
    expect=on_all(PASS),
)
def dead_memcg(pair: Steps) -> None:
    """Remove the cgroup while its pages are out, then drop them; compare with an empty cgroup removed likewise."""
    pair.bury_control()
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    pair.bury(CLIENT)
    pair.checkpoint(REMOVED)
    pair.release(CLIENT)
    pair.checkpoint(RELEASED)
    pair.end(until=pair.is_buried, drained=True)
