# SPDX-License-Identifier: GPL-2.0-only
"""Rules that guard a verdict: did the case do what it claims, and do the two witnesses agree?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lab.evidence.ledger import bracket, client_record, counted, keeps
from lab.evidence.memory import baseline, gone, idle_pages
from lab.evidence.model import ClientEvent, Evidence, Ledger, ProgramLog, Sample
from lab.plan.cases import Case
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict import rules_designs, rules_limits
from lab.verdict.measure import (
    AtKill,
    Moment,
    agreement,
    at,
    at_kill,
    at_limit_kill,
    at_sample,
    batch,
    deliver_of,
    enough_held,
    moment,
    most_held,
    not_allowed,
    passed,
    sockets_of,
    states,
    stopped,
    tcp_growth,
    unclear,
    verdict_line,
    witness,
)
from lab.verdict.model import Finding

MAY_COPY = frozenset({"copy", "slow", "hold-or-copy"})
"""Behaviours that do their part without mapping anything; what `hold-or-copy` must map is for the rule `opted`."""

SHARE_AFTER = 16 * MIB
"""The mapped share is taken once that much has come: a refused client may go on by copying, which says nothing."""


def exercised(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Pages were really mapped, and as much was taken as the case speaks of."""
    if ledger.client not in evidence.clients:
        return [unclear("exercised", f"client {ledger.client} left no output", f"clients/{ledger.client}.jsonl")]
    return [*_mapped(evidence, case), *_PROOFS[case.name](evidence, ledger)]


def _mapped(evidence: Evidence, case: Case) -> Iterator[Finding]:
    names = [c.name for c in case.clients if c.behaviour not in MAY_COPY] if case.needs_map else []
    for log in (evidence.clients[n] for n in names if n in evidence.clients):
        share, event = _mapped_share(log)
        message = f"client {log.name} mapped {share:.0%} of what it took, the floor is {evidence.manifest.floor:.0%}"
        enough = share > 0 and evidence.manifest.floor <= share <= 1
        yield (passed if enough else unclear)("exercised", message, at(log, event))


def _mapped_share(log: ProgramLog) -> tuple[float, ClientEvent | None]:
    """Best mapped share of any line after SHARE_AFTER bytes (after all of them, when fewer came)."""
    events = [e for e in counted(log) if e.count("delivered")]
    total = max((e.count("delivered") for e in events), default=0)
    late = [e for e in events if e.count("delivered") >= min(total, SHARE_AFTER)]
    best = max(late, key=lambda e: e.count("mapped") / e.count("delivered"), default=None)
    return (best.count("mapped") / best.count("delivered") if best else 0.0), best


Proof = Callable[[Evidence, Ledger], Iterable[Finding]]


PAST = 1.5
"""Times its limit that a client must hold before it has shown that the limit does not bind. Four times are sent, of
which the least mappable profile that cases run on, e1000, maps 45 %."""


def _took(times: float) -> Proof:
    """Held so many times its limit; or the kernel stopped it, after it had come half-way to the limit at least."""

    def proof(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
        held, limit = most_held(evidence, ledger), ledger.limit
        pointer = verdict_line(evidence, ledger)
        if limit is None:
            return [unclear("exercised", f"client {ledger.client} had no limit to exceed", "manifest.json")]
        how = stopped(evidence, ledger.client)
        message = f"{ledger.client} held {mib(held)} with a limit of {mib(limit)}" + (f" and was {how}" if how else "")
        message += f" ({witness(evidence, ledger)})"
        enough = held >= times * limit or (how and held >= limit // 2)
        return [(passed if enough else unclear)("exercised", message, pointer)]

    return proof


def _took_delivered(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """At the checkpoint `held` it kept enough of what was offered."""
    wanted = enough_held(evidence, ledger.client)
    held = evidence.receiver.checkpoint("held")
    if held is None or ledger.last is None or ledger.last.t != held.t:
        return [unclear("exercised", f"{ledger.client} was not seen holding anything", verdict_line(evidence, ledger))]
    message = f"{ledger.client} held {mib(ledger.last.held)}, {mib(wanted)} are needed"
    return [(passed if ledger.last.held >= wanted else unclear)("exercised", message, at_sample(held))]


def _took_unless_not_allowed(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """pin-uring: a kernel that refuses the first of these buffers leaves nothing to hold; `allowed` says so."""
    if refusal := not_allowed(evidence, ledger.client):
        log = evidence.clients[ledger.client]
        return [passed("exercised", f"{ledger.client} tried, and was refused", at(log, refusal))]
    return _took(3)(evidence, ledger)


def _left_behind(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """double-count: each socket still has the packet whose other pages are mapped, so `sock` exceeds what is queued."""
    yield from _took_delivered(evidence, ledger)
    held, client = evidence.receiver.checkpoint("held"), client_record(evidence, ledger.client)
    log = evidence.clients[ledger.client]
    last = log.last("holding")
    if held is None or last is None or client is None or ledger.client not in held.cgroups:
        return
    sock, queued = held.cgroups[ledger.client].stat.get("sock", 0), last.count("queued")
    wanted = sockets_of(evidence, ledger.client) * PAGE_SIZE
    message = f"{mib(queued)} lie in the sockets and {mib(sock)} are charged as sock, {mib(wanted)} more are needed"
    yield (passed if queued and sock - queued >= wanted else unclear)("exercised", message, at_sample(held))


def _still_out(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """dead-memcg: the pages were out when the cgroup had been removed, and a control cgroup had died before."""
    yield from _took_delivered(evidence, ledger)
    removed, start = evidence.receiver.checkpoint("removed"), baseline(evidence)
    if removed is None or start is None or evidence.receiver.checkpoint("control") is None:
        yield unclear("exercised", "no checkpoint `removed` or `control`", "receiver/checkpoints.jsonl")
        return
    still, wanted = gone(removed, start), enough_held(evidence, ledger.client)
    message = f"{mib(still)} were out when the cgroup had been removed, {mib(wanted)} are needed"
    yield (passed if still >= wanted else unclear)("exercised", message, at_sample(removed))


def _queued(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    queued = ledger.last.held if ledger.last else 0
    held = evidence.receiver.checkpoint("held")
    message = f"{mib(queued)} lay queued in the sockets, more than 1 MiB is needed"
    seen = held is not None and ledger.last is not None and ledger.last.t == held.t
    return [(passed if seen and queued > MIB else unclear)("exercised", message, verdict_line(evidence, ledger))]


def _delivered_all(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """bytes-equal: whether all came is what `bytes-equal` judges; here, that something did for each client."""
    for name, log in evidence.clients.items():
        last = log.last("holding", "done")
        delivered = last.count("delivered") if last else 0
        message = f"client {name} took {mib(delivered)}"
        yield (passed if delivered >= MIB else unclear)("exercised", message, at(log, last))


def _took_all(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """cost: every turn moved all of its bytes."""
    for name, log in evidence.clients.items():
        last, wanted = log.last("holding"), deliver_of(evidence, name)
        delivered = last.count("delivered") if last else 0
        whole = last is not None and last.fields.get("reason") == "complete" and delivered == wanted >= MIB
        message = f"client {name} took {mib(delivered)} of {mib(wanted)}"
        yield (passed if whole else unclear)("exercised", message, at(log, last))


_PROOFS: dict[str, Proof] = {
    "hold": _took(PAST),
    "pin-vmsplice": _took(PAST),
    "pin-sendzc": _took(PAST),
    "pin-fork": _took(PAST),
    "pin-tee": _took(PAST),
    "pin-uring": _took_unless_not_allowed,
    "never-over": rules_limits.tried_the_limit,
    "never-over-lowered": rules_limits.tried_the_lower_limit,
    "refused": rules_limits.turned_away,
    "double-count": _left_behind,
    "double-count-1": _left_behind,
    "double-count-16": _left_behind,
    "file-mapped": _took_delivered,
    "release": _took_delivered,
    "dead-memcg": _still_out,
    "bystander": _took(3),  # whether the innocent ran before is for `isolated`, which needs its rate
    "copy-control": _took(2),
    "sock-control": _queued,
    "bytes-equal": _delivered_all,
    "visible": _took_delivered,
    **rules_designs.PROOFS,
    "cost": _took_all,
}


def witnesses(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The clients' count agrees with the kernel's: free memory, and at checkpoints the page tables of /proc/kpage*."""
    now, start = moment(evidence, ledger), baseline(evidence)
    if (killed_at := at_limit_kill(evidence, ledger.client)) and (told := _by_report(evidence, killed_at)):
        return [told]
    if now is None or start is None or ledger.last is None:
        return [_nothing_to_compare(evidence, ledger)]
    kept = Kept.of(states(evidence, now))
    found = [_free_memory(kept, now, start, ledger.last.moving)]
    found += [_anonymous(kept, now, start, ledger.last.moving), _charge(evidence, ledger.client, now)]
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


def _free_memory(kept: Kept, now: Moment, start: Sample, moving: int) -> Finding:
    """Free memory fell by what was held, give or take what lay in socket queues, which is unexplained as well."""
    queues = max(0, *(tcp_growth(s, start) for s in (now.low, now.high)))
    low, high = sorted((gone(now.low, start), gone(now.high, start)))
    agree = low - queues - agreement(kept.pages) - moving <= kept.pages <= high + agreement(kept.pages) + moving
    message = (
        f"clients say they hold {mib(kept.pages)}; {mib(low)} to {mib(high)} of memory are gone, "
        f"up to {mib(queues)} of it in socket queues"
    )
    return (passed if agree else unclear)("witnesses", message, at_sample(now.low))


def _anonymous(kept: Kept, now: Moment, start: Sample, moving: int) -> Finding:
    """Received data kept in anonymous memory shows as AnonPages; other anonymous memory would pass for a charge."""
    low, high = sorted(s.meminfo["AnonPages"] - start.meminfo["AnonPages"] for s in (now.low, now.high))
    slack = agreement(kept.anon) + moving
    message = f"clients say they keep {mib(kept.anon)} in anonymous memory; AnonPages grew by {mib(low)} to {mib(high)}"
    agree = low - slack <= kept.anon <= high + slack
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


def unproven_cases(cases: Iterable[str]) -> list[str]:
    """Cases of the table without a proof of exercise; a test keeps it empty."""
    return [name for name in cases if name not in _PROOFS]
