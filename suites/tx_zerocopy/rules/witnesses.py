# SPDX-License-Identifier: GPL-2.0-only
"""Do the two witnesses agree? What clients say that they keep in flight, against what the kernel says."""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.ledger import bracket
from lab.evidence.memory import baseline, gone
from lab.evidence.model import CgroupSample, Evidence, Ledger, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    Moment,
    agreement,
    at_sample,
    batch,
    moment,
    passed,
    states,
    tcp_growth,
    unclear,
    verdict_line,
)
from lab.verdict.model import Finding
from suites.tx_zerocopy.clients import HELD_BYTES, QUEUED


@rule("witnesses")
def witnesses(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The clients' count agrees with free memory and AnonPages; the charge with /proc/kpagecgroup, page by page."""
    now, start = moment(evidence, ledger), baseline(evidence)
    if now is None or start is None or ledger.last is None:
        pointer = verdict_line(evidence, ledger)
        return [unclear("witnesses", "no moment at which the kernel and the clients can be set side by side", pointer)]
    seen = states(evidence, now)
    anon, queued = sum(e.count("anon") for e in seen), sum(e.count(QUEUED) for e in seen)
    kept = sum(e.count(HELD_BYTES) for e in seen) - anon
    found = [_free_memory(kept, now, start), _anonymous(anon, now, start)]
    found += [_charge(evidence, ledger.client, now)]
    found += [_pages(evidence, case, now.low, start)] if now.checkpoint else []
    found += [_queue(evidence, queued, now.high, start)] if queued else []
    return found


def _free_memory(kept: int, now: Moment, start: Sample) -> Finding:
    """A page that only a socket has is in no counter of /proc/meminfo: free memory fell by it, give or take queues."""
    queues = max(0, *(tcp_growth(s, start) for s in (now.low, now.high)))
    low, high = sorted((gone(now.low, start), gone(now.high, start)))
    agree = low - queues - agreement(kept) <= kept <= high + agreement(kept)
    message = (
        f"clients say that {mib(kept)} of theirs are with their sockets alone; {mib(low)} to {mib(high)} of memory are "
        f"gone, up to {mib(queues)} of it for what TCP counts"
    )
    return (passed if agree else unclear)("witnesses", message, at_sample(now.low))


def _anonymous(anon: int, now: Moment, start: Sample) -> Finding:
    """Buffers that are mapped show as AnonPages, and no others: what is said to be unmapped must not be there."""
    low, high = sorted(s.meminfo["AnonPages"] - start.meminfo["AnonPages"] for s in (now.low, now.high))
    slack = agreement(anon)
    message = f"clients say that they have {mib(anon)} of buffers; AnonPages grew by {mib(low)} to {mib(high)}"
    return (passed if low - slack <= anon <= high + slack else unclear)("witnesses", message, at_sample(now.low))


def _charge(evidence: Evidence, name: str, now: Moment) -> Finding:
    """The charge is not taken from one reading: it lies below the kernel's own peak, and what has settled stays."""
    around = bracket(evidence.tested.samples, now.t, near=1.0)
    groups = [s.cgroups[name] for s in (now.low, now.high, *(around or ())) if name in s.cgroups]
    if not around or not groups:
        return unclear("witnesses", f"no telemetry around {now.t:.1f} s to set the charge against", at_sample(now.low))
    over = [g for g in groups if g.peak is not None and g.current > g.peak + batch(evidence)]
    charges = [g.current for g in groups]
    spread = max(charges) - min(charges) if now.checkpoint else 0
    message = f"memory.current of /lab/{name} reads {mib(min(charges))} to {mib(max(charges))} at that moment"
    sound = not over and spread <= agreement(max(charges))
    return (passed if sound else unclear)("witnesses", message, at_sample(now.low))


def _pages(evidence: Evidence, case: Case, now: Sample, start: Sample) -> Finding:
    """What the counter says, less what is charged without a page of its own, is what the pages say one by one.

    A socket is charged by the byte (mem_cgroup_charge_skmem()), and slab by the object: no page says whose those are.
    """
    if now.pages is None or start.pages is None:
        return unclear("witnesses", f"checkpoint `{now.name}` has no page counts", at_sample(now))
    groups = [now.cgroups[c.name] for c in case.clients if c.name in now.cgroups]
    pages = sum(now.pages.charged.get(group.ino, 0) for group in groups) * PAGE_SIZE
    counter = sum(group.current - _without_page(group) for group in groups)
    slack = agreement(counter)
    message = f"page by page {mib(pages)} are charged to the clients, by their counters {mib(counter)}, sockets apart"
    return (passed if abs(pages - counter) <= slack else unclear)("witnesses", message, at_sample(now))


def _without_page(group: CgroupSample) -> int:
    return group.stat.get("sock", 0)


def _queue(evidence: Evidence, queued: int, now: Sample, start: Sample) -> Finding:
    """Copies in sockets count in TCP's own memory, at their true size and so at least as much, but for what each CPU
    keeps in reserve (SK_MEMORY_PCPU_RESERVE, 1 MiB)."""
    tcp, missing = tcp_growth(now, start), gone(now, start)
    agree = tcp >= queued * 9 // 10 - MIB * evidence.manifest.pair.vcpus and missing >= queued - agreement(queued)
    message = f"{mib(queued)} queued; TCP's memory grew by {mib(tcp)}, {mib(missing)} are gone"
    return (passed if agree else unclear)("witnesses", message, at_sample(now))
