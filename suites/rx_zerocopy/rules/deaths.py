# SPDX-License-Identifier: GPL-2.0-only
"""What is left of a client that the kernel ended while it held pages."""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.ledger import client_record, counted
from lab.evidence.memory import HELD_BACK, baseline, but_cache
from lab.evidence.model import ClientEvent, Evidence, Ledger, Sample
from lab.units import PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    at,
    at_limit_kill,
    at_sample,
    enough_held,
    failed,
    mem_total,
    most_held,
    passed,
    unclear,
)
from lab.verdict.model import Finding
from suites.rx_zerocopy.rules.claims import gone_for_good, memory_back, other_victims
from suites.rx_zerocopy.rules.exercised import took_delivered

KILL_STATUS = 137  # 128 + SIGKILL
OWN_PAGES = 16
"""Slab objects of a dead process and of its sockets that outlive it a little; 2 to 49 pages were seen together with
what a CPU holds back (docs/invariants.md)."""


@rule("reaped")
def reaped(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """When the kernel has ended a client, its charge and its memory are back, and its cgroup can be removed."""
    points = {name: evidence.receiver.checkpoint(name) for name in ("control", "dead", "end")}
    control, dead, end = points.values()
    start = baseline(evidence)
    if control is None or dead is None or end is None or start is None:
        lacking = ", ".join(name for name, sample in points.items() if sample is None)
        return [unclear("reaped", f"no checkpoint {lacking}", "receiver/checkpoints.jsonl")]
    memory = memory_back("reaped", (dead, end), start, most_held(evidence, ledger))
    charge = _charge_left(evidence, ledger.client, dead)
    return [*other_victims("reaped", evidence, case), charge, memory, *gone_for_good("reaped", control, end)]


def _charge_left(evidence: Evidence, name: str, dead: Sample) -> Finding:
    """Counted in pages: what a CPU holds back is no share of what was held."""
    group, pointer = dead.cgroups.get(name), at_sample(dead)
    if group is None or group.procs:
        why = "its cgroup was gone" if group is None else f"{group.procs} of its processes lived"
        return unclear("reaped", f"{name} was not counted when it had died: {why}", pointer)
    left = but_cache(group)
    allowed = HELD_BACK * evidence.manifest.pair.vcpus + OWN_PAGES * PAGE_SIZE
    message = (
        f"/lab/{name} is charged for {left // PAGE_SIZE} pages when its last process is dead, page cache apart; "
        f"{allowed // PAGE_SIZE} are tolerated"
    )
    if left > mem_total(evidence):
        return failed("reaped", f"{message}: it underflowed", pointer)
    return (passed if left <= allowed else failed)("reaped", message, pointer)


def killed_holding(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """killed: the lab's SIGKILL ended it while it held enough of what was offered."""
    yield from took_delivered(evidence, ledger)
    log, record = evidence.clients[ledger.client], client_record(evidence, ledger.client)
    last = next(reversed(counted(log)), None)
    sent = record is not None and record.killed and record.status == KILL_STATUS
    message = f"{ledger.client} was {'ended by the SIGKILL that the lab sent' if sent else 'not ended by a SIGKILL'}"
    yield _while_it_held(evidence, ledger.client, last, message, sent=sent)


def oom_killed_holding(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """killed-oom: its own limit had the OOM killer end it, while it held enough of what was offered."""
    killed_at, log = at_limit_kill(evidence, ledger.client), evidence.clients[ledger.client]
    if killed_at is None:
        yield unclear("exercised", f"{ledger.client} was not killed by the OOM killer of its own cgroup", log.path)
        return
    message = f"{ledger.client} was killed by its own cgroup's OOM killer"
    yield _while_it_held(evidence, ledger.client, killed_at.event, message, sent=True)


def _while_it_held(evidence: Evidence, name: str, last: ClientEvent | None, message: str, *, sent: bool) -> Finding:
    held, wanted = last.count("mapped_now") if last else 0, enough_held(evidence, name)
    told = f"{message}, with {mib(held)} mapped by its last line; {mib(wanted)} are needed"
    return (passed if sent and held >= wanted else unclear)("exercised", told, at(evidence.clients[name], last))
