# SPDX-License-Identifier: GPL-2.0-only
"""The same as `hold`, over IPv6 and nothing else.

`tcp_zerocopy_receive()` serves both families, and no design of the thread speaks of either. Every other case goes over
either in turn: over which its first run does, its name says (`family_of()` of lab/plan/matrix.py); the second goes over
the other one; `--family` settles it, and the manifest says it. So a defect that only one family has is found by each
case in half of its runs, and by this one in all.

**Exercised.** As in `hold`; and the address that the sender was given, by the manifest, is one of IPv6, which the
family recorded there agrees with.

An IPv6 header is 20 bytes longer than one of IPv4, so a profile whose segments have to be a page (`e1000e-split`) has
the MTU of IPv6, and senders keep to the same segment over IPv4 (TCP_MAXSEG).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour, abuser
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.claims import billed
from suites.rx_zerocopy.rules.exercised import PAST, took
from suites.rx_zerocopy.rules.paths import both, over_ipv6

if TYPE_CHECKING:
    from lab.trial.steps import Steps

ABUSER = abuser(Behaviour.HOLD)


@case(
    chapter=Chapter.PATHS,
    claim='mapped network memory "becomes unaccounted after getting mapped into the application address space": '
    "whichever family it came by",
    clients=[ABUSER],
    exercised_by=both(took(PAST), over_ipv6),
    judged_by=[billed],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    family="ipv6",
)
def ipv6(pair: Steps) -> None:
    """Map 4 x limit over IPv6, never unmap."""
    keep_and_release(pair)
