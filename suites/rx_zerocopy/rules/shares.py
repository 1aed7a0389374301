# SPDX-License-Identifier: GPL-2.0-only
"""Is the share that can be mapped what the table says?"""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.model import Evidence, Ledger
from lab.plan.nics import NICS
from lab.units import mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import at, failed, passed, unclear
from lab.verdict.model import Finding
from suites.rx_zerocopy.shares import predicted_share

APART = 0.08
"""How far the two may lie apart: what TCP puts into a packet differs from run to run."""

NOTHING = 0.01
"""Share that is as good as none: a packet may happen to fill exactly one page."""


@rule("as-predicted")
def as_predicted(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The share of bytes that could be mapped is the one predicted for this kernel and NIC."""
    manifest, log = evidence.manifest, evidence.clients.get(ledger.client)
    last, predicted = log.last("holding") if log else None, predicted_share(manifest.nic, manifest.kernel.release)
    if log is None or last is None or not last.count("delivered"):
        return [unclear("as-predicted", "nothing was delivered", f"clients/{ledger.client}.jsonl")]
    delivered, mapped = last.count("delivered"), last.count("mapped")
    measured = mapped / delivered
    where = f"Linux {manifest.kernel.release}, {_setting(manifest.nic, manifest.mtu)}"
    if predicted is None or measured > 1:
        message = f"measured {measured:.0%} of {mib(delivered)}, and nothing can be said of it: {where}"
        return [unclear("as-predicted", message, at(log, last))]
    message = f"predicted {predicted:.0%}, measured {measured:.0%} of {mib(delivered)}: {where}"
    agree = measured <= NOTHING if predicted == 0 else abs(measured - predicted) <= APART
    return [(passed if agree else failed)("as-predicted", message, at(log, last))]


def _setting(nic: str, mtu: int) -> str:
    sysctls = [f"{name}={value}" for name, value in (NICS[nic].sysctls if nic in NICS else ())]
    return ", ".join([nic, f"MTU {mtu}", *sysctls])
