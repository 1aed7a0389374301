# SPDX-License-Identifier: GPL-2.0-only
"""Whether what a case keeps pages by keeps them at all on this kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.evidence.model import Evidence, Ledger
from lab.plan.case import ClientSpec
from lab.verdict.case import Case, Rule, rule
from lab.verdict.measure import at, missed, passed
from lab.verdict.model import Finding
from suites.rx_zerocopy.clients import VMSPLICED

KEEPS, COPIES = "keeps", "copies"


@rule("pinner")
def pinner(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """vmsplice keeps the page that it is given, and no copy of it: each client that pins by it tried that first."""
    logs = [log for name, log in evidence.clients.items() if _pins(case, name)]
    found = [(log, ready, ready.fields.get("vmsplice")) for log in logs if (ready := log.last("ready"))]
    bad = [
        missed("pinner", "this kernel's vmsplice copies: nothing is pinned by it", at(log, ready))
        if said == COPIES
        else missed("pinner", f"whether vmsplice keeps pages here is not known ({said!r})", at(log, ready))
        for log, ready, said in found
        if said != KEEPS and (said is not None or evidence.manifest.layer)
    ]
    told = [f"vmsplice keeps pages here, {log.name} saw" for log, _, said in found if said == KEEPS]
    # Guests without a layer are older than the probe, and their kernels than a vmsplice that copies: no release does.
    return bad or [passed("pinner", "; ".join(told) or "nobody tried whether vmsplice keeps pages", "manifest.json")]


def _pins(case: Case, name: str) -> bool:
    return any(client.name == name and client.behaviour in VMSPLICED for client in case.clients)


def pinners(clients: Sequence[ClientSpec]) -> tuple[Rule, ...]:
    """The rule, where a case has such a client."""
    return (pinner,) if any(client.behaviour in VMSPLICED for client in clients) else ()
