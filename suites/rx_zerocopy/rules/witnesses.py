# SPDX-License-Identifier: GPL-2.0-only
"""Do the two witnesses agree? What clients say that they hold, against what the kernel says."""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.ledger import bracket, counted, keeps
from lab.evidence.memory import baseline, gone, idle_pages
from lab.evidence.model import ClientEvent, Evidence, Ledger, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    AtKill,
    Moment,
    agreement,
    at_kill,
    at_limit_kill,
    at_sample,
    batch,
    dying,
    moment,
    passed,
    states,
    tcp_growth,
    unclear,
    verdict_line,
)
from lab.verdict.model import Finding


@rule("witnesses")
def witnesses(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The clients' count agrees with the kernel's: free memory, and at checkpoints the page tables of /proc/kpage*."""
    now, start = moment(evidence, ledger), baseline(evidence)
    if (killed_at := at_limit_kill(evidence, ledger.client)) and (told := _by_report(evidence, killed_at)):
        return [told]
    if now is None or start is None or ledger.last is None:
        return [_nothing_to_compare(evidence, ledger)]
    kept, leaving = Kept.of(states(evidence, now)), Kept.of(dying(evidence, now))
    found = [_free_memory(kept, leaving, now, start, ledger.last.moving)]
    found += [_anonymous(kept, leaving, now, start, ledger.last.moving), _charge(evidence, ledger.client, now)]
    found += [_pages(kept, now, start, evidence, case)] if now.checkpoint else []
    found += [_queue(kept, now, start, evidence)] if kept.queued else []
    return found


def _by_report(evidence: Evidence, at: AtKill) -> Finding | None:
    """A killed client's last line against the kernel's report of the kill: page tables for what it mapped or copied,
    the charge for what it had pinned. None where the report speaks of neither: a kernel need not charge pinned pages.
    """
    pinned, slack = at.event.count("pinned"), agreement(at.held)
    if pinned and at.charged < at.held - slack:
        return None
    other, what = (at.charged, "was charged") if pinned else (at.resident, "had in its page tables")
    message = f"it said it held {mib(at.held)}, and {what} {mib(other)} by the kernel's report of its OOM kill"
    agree = at.held <= other + slack and (pinned or other <= at.held + slack)
    return (passed if agree else unclear)("witnesses", message, at_kill(at.kill, evidence.receiver.console))


def _nothing_to_compare(evidence: Evidence, ledger: Ledger) -> Finding:
    log = evidence.clients.get(ledger.client)
    most = max((keeps(e) for e in counted(log)), default=0) if log else 0
    pointer = verdict_line(evidence, ledger)
    if log and most < 8 * MIB:
        return passed("witnesses", f"{mib(most)} held: too little for two witnesses to disagree about", pointer)
    return unclear("witnesses", f"{mib(most)} held on the client's word alone: no sample of that moment", pointer)


class Kept:
    """Sums over all clients of the receiver, for free memory knows no clients. Bytes."""

    def __init__(self, pages: int, anon: int, queued: int) -> None:
        self.pages, self.anon, self.queued = pages, anon, queued

    @classmethod
    def of(cls, events: Iterable[ClientEvent]) -> Kept:
        seen = list(events)
        anon = sum(e.count("anon") for e in seen)
        return cls(sum(e.count("held") for e in seen) - anon, anon, sum(e.count("queued") for e in seen))


def _leaving(size: int) -> str:
    return f", one that is dying up to {mib(size)} more" if size else ""


def _free_memory(kept: Kept, leaving: Kept, now: Moment, start: Sample, moving: int) -> Finding:
    """Free memory fell by what was held, give or take what lay in socket queues, which is unexplained as well."""
    queues = max(0, *(tcp_growth(s, start) for s in (now.low, now.high)))
    low, high = sorted((gone(now.low, start), gone(now.high, start)))
    slack, most = agreement(kept.pages) + moving, kept.pages + leaving.pages
    agree = low - queues - slack <= most and kept.pages <= high + slack
    message = (
        f"clients say they hold {mib(kept.pages)}{_leaving(leaving.pages)}; {mib(low)} to {mib(high)} of memory are "
        f"gone, up to {mib(queues)} of it in socket queues"
    )
    return (passed if agree else unclear)("witnesses", message, at_sample(now.low))


def _anonymous(kept: Kept, leaving: Kept, now: Moment, start: Sample, moving: int) -> Finding:
    """Received data kept in anonymous memory shows as AnonPages; other anonymous memory would pass for a charge."""
    low, high = sorted(s.meminfo["AnonPages"] - start.meminfo["AnonPages"] for s in (now.low, now.high))
    slack = agreement(kept.anon) + moving
    said = f"clients say they keep {mib(kept.anon)} in anonymous memory{_leaving(leaving.anon)}"
    agree = low - slack <= kept.anon + leaving.anon and kept.anon <= high + slack
    message = f"{said}; AnonPages grew by {mib(low)} to {mib(high)}"
    return (passed if agree else unclear)("witnesses", message, at_sample(now.low))


def _charge(evidence: Evidence, name: str, now: Moment) -> Finding:
    """The charge, too, is not taken from one number: it lies below the kernel's own peak, and what has settled stays.

    A checkpoint is taken when nothing moves, so the samples a second around it must say the same.
    """
    around = bracket(evidence.receiver.samples, now.t, near=1.0)
    groups = [s.cgroups[name] for s in (now.low, now.high, *(around or ())) if name in s.cgroups]
    over = [g for g in groups if g.peak is not None and g.current > g.peak + batch(evidence)]
    charges = [g.current for g in groups]
    if not around or not groups:
        return unclear("witnesses", f"no telemetry around {now.t:.1f} s to set the charge against", at_sample(now.low))
    spread = max(charges) - min(charges) if now.checkpoint else 0
    message = f"memory.current of /lab/{name} reads {mib(min(charges))} to {mib(max(charges))} at that moment"
    sound = not over and spread <= agreement(max(charges))
    return (passed if sound else unclear)("witnesses", message, at_sample(now.low))


def _pages(kept: Kept, now: Moment, start: Sample, evidence: Evidence, case: Case) -> Finding:
    """Page by page: what is held is plain, or mapped and charged to nobody, or charged to a client; some of it twice.

    The union of sets that may overlap is no smaller than the largest and no larger than their sum. Anonymous memory
    and queued data are charged or plain too, so they widen it below.
    """
    if now.low.pages is None or start.pages is None:
        return unclear(
            "witnesses", f"checkpoint `{now.low.name}` or `{start.name}` has no page counts", at_sample(now.low)
        )
    plain = now.low.pages.plain - start.pages.plain - (idle_pages(now.low) - idle_pages(start))
    mapped = now.low.pages.mapped_uncharged - start.pages.mapped_uncharged
    charged = sum(_charged_growth(now.low, start, c.name) for c in case.clients)
    kinds = [PAGE_SIZE * max(0, pages) for pages in (plain, mapped, charged)]
    slack = agreement(kept.pages)
    other = kept.anon + max(0, tcp_growth(now.low, start))
    agree = max(kinds) - other - slack <= kept.pages <= sum(kinds) + slack
    message = (
        f"clients say they hold {mib(kept.pages)}; pages without an owner grew by {mib(kinds[0])}, "
        f"mapped and uncharged by {mib(kinds[1])}, charged to the clients by {mib(kinds[2])}"
    )
    return (passed if agree else unclear)("witnesses", message, at_sample(now.low))


def _charged_growth(now: Sample, start: Sample, name: str) -> int:
    """Pages charged to a client's cgroup, by inode, less those it had before."""
    group = now.cgroups.get(name)
    if group is None or now.pages is None:
        return 0
    before = start.pages.charged.get(group.ino, 0) if start.pages else 0
    return now.pages.charged.get(group.ino, 0) - before


def _queue(kept: Kept, now: Moment, start: Sample, evidence: Evidence) -> Finding:
    """Queued data counts in TCP's own memory at its true size, headers and slack included, so at least as much.

    Less what each CPU keeps in reserve (SK_MEMORY_PCPU_RESERVE, 1 MiB): it may still have been there at the start.
    A queue that outgrows its buffer is copied into linear skbs of a page at most (tcp_collapse() of tcp_input.c), and
    those lie in slab: there the memory has a name, and is not gone.
    """
    tcp, missing = tcp_growth(now.high, start), gone(now.high, start)
    slab = max(0, now.high.meminfo.get("Slab", 0) - start.meminfo.get("Slab", 0))
    in_tcp = tcp >= kept.queued * 9 // 10 - MIB * evidence.manifest.pair.vcpus
    agree = in_tcp and missing + slab >= kept.queued - agreement(kept.queued)
    message = (
        f"{mib(kept.queued)} queued; TCP's memory grew by {mib(tcp)}, {mib(missing)} are gone, slab grew by {mib(slab)}"
    )
    return (passed if agree else unclear)("witnesses", message, at_sample(now.high))
