# SPDX-License-Identifier: GPL-2.0-only
"""The table of rules. A case names the ones that must each speak before it can be a PASS (lab.plan.cases)."""

from __future__ import annotations

from lab.verdict import rules_always, rules_claims, rules_cost, rules_designs, rules_lab, rules_limits, rules_use
from lab.verdict.measure import Rule

RULES: dict[str, Rule] = {
    "kernel-alive": rules_lab.kernel_alive,
    "lab-alive": rules_lab.lab_alive,
    "complete": rules_lab.complete,
    "preflight": rules_lab.preflight,
    "heard": rules_always.heard,
    "balanced": rules_always.balanced,
    "exercised": rules_use.exercised,
    "witnesses": rules_use.witnesses,
    "billed": rules_claims.billed,
    "allowed": rules_limits.allowed,
    "never-over": rules_limits.never_over,
    "lowered": rules_limits.lowered,
    "twice": rules_limits.twice,
    "file-mapped": rules_limits.file_mapped,
    "returned": rules_claims.returned,
    "buried": rules_claims.buried,
    "isolated": rules_claims.isolated,
    "contained": rules_claims.contained,
    "queue-billed": rules_claims.queue_billed,
    "bytes-equal": rules_claims.bytes_equal,
    "own-bill": rules_designs.own_bill,
    "opted": rules_designs.opted,
    "counted": rules_designs.counted,
    "given-back": rules_designs.given_back,
    "reference": rules_cost.reference,
    "cost": rules_cost.cost,
}
