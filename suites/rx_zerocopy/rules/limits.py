# SPDX-License-Identifier: GPL-2.0-only
"""Rules about how a charge is made: within the limit, once, and where the rest of the kernel counts the page."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator

from lab.evidence.ledger import client_record
from lab.evidence.memory import baseline
from lab.evidence.model import Evidence, Ledger, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    agreement,
    at,
    at_sample,
    batch,
    deliver_of,
    failed,
    limit_of,
    not_allowed,
    passed,
    peak,
    refused,
    skipped,
    sockets_of,
    tcp_growth,
    tolerance,
    unclear,
    verdict_line,
)
from lab.verdict.model import Finding

TURNED_AWAY = 50
"""Refusals that `refused` must have seen: a page lost in every fifth of them shows past what `buried` tolerates."""

MAPPING = "TCP_ZEROCOPY_RECEIVE"
"""The call whose refusal says that a page was not charged; any other that fails is refused memory of its own."""

SKB_PAGES = 45
"""The thread's bound on what one socket is charged twice: "for an skb that's up to 45 pages"."""


@rule("allowed", may_skip=True)
def allowed(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Whether the kernel lets mapped pages be kept in the way that the case is about; else nothing was tried."""
    log = evidence.clients.get(ledger.client)
    if log is None:
        return [unclear("allowed", f"client {ledger.client} left no output", f"clients/{ledger.client}.jsonl")]
    refusal = not_allowed(evidence, ledger.client)
    if refusal is None:
        return [passed("allowed", f"{ledger.client} was not refused", log.path)]
    what = "no io_uring" if refusal.fields["call"] == "io_uring" else "no mapped page as a buffer of an io_uring"
    message = f"the kernel allows {what} ({refusal.fields['call']}: errno {refusal.fields['errno']})"
    return [skipped("allowed", message, at(log, refusal))]


@rule("never-over")
def never_over(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What is charged for mapped pages stays within memory.max, though the client goes on until it is refused.

    Charges for queued data are left out: TCP makes them in softirq context with GFP_ATOMIC, which try_charge_memcg()
    never refuses, so memory.peak passes the limit on every kernel.
    """
    limit, pointer = limit_of(evidence, ledger.client), verdict_line(evidence, ledger)
    held, last = evidence.receiver.checkpoint("held"), ledger.last
    charged, slack = _for_pages(evidence, ledger.client, held), batch(evidence) + MIB
    if limit is None or held is None or charged is None or last is None:
        return [unclear("never-over", f"{ledger.client} had no limit or was never measured", pointer)]
    message = (
        f"{mib(charged)} charged but for queues, with a limit of {mib(limit)} and {mib(slack)} tolerated; "
        f"{ledger.client} held {mib(last.held)}; with queues memory.peak is {mib(peak(evidence, ledger.client))}"
    )
    if charged > limit + slack:
        return [failed("never-over", message, at_sample(held))]
    if last.held - charged > tolerance(evidence, last.held):
        return [unclear("never-over", f"{message}; what it holds is not charged: no limit was tried", at_sample(held))]
    return [passed("never-over", message, at_sample(held))]


def tried_the_limit(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """never-over: the client held its limit at least, or the kernel refused it more after it had come half-way.

    One that merely stands still, be it at its limit, has not been refused: what it would have got nobody knows.
    """
    held, limit, refusal = ledger.last.held if ledger.last else 0, ledger.limit, refused(evidence, ledger.client)
    refusal = refusal if refusal and refusal.fields.get("call") == MAPPING else None
    if limit is None:
        return [unclear("exercised", f"client {ledger.client} had no limit to exceed", "manifest.json")]
    how = "was refused more with ENOMEM" if refusal else "was not refused more"
    message = f"{ledger.client} held {mib(held)} with a limit of {mib(limit)} and {how}"
    tried = held >= limit or (refusal is not None and held >= limit // 2)
    return [(passed if tried else unclear)("exercised", message, verdict_line(evidence, ledger))]


@rule("lowered")
def lowered(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Once the limit lies below what is charged for mapped pages, hardly more is charged for them.

    Until its first refusal the client may get some pages out of the CPU's stock, which TCP's forced charges fill
    (docs/cases/refused.md): 1.7 MiB at most in three runs. A kernel that forces goes on by 70 MiB.
    """
    then, held, last = *map(evidence.receiver.checkpoint, ("lowered", "held")), ledger.last
    before, after = _for_pages(evidence, ledger.client, then), _for_pages(evidence, ledger.client, held)
    if held is None or last is None or before is None or after is None:
        return [unclear("lowered", "no checkpoint `lowered` or `held`", "receiver/checkpoints.jsonl")]
    slack = agreement(before)
    message = (
        f"{mib(before)} charged but for queues when the limit was lowered, {mib(after)} when {ledger.client} took no "
        f"more; {mib(slack)} are tolerated"
    )
    if after - before > slack:
        return [failed("lowered", message, at_sample(held))]
    if last.held - after > tolerance(evidence, last.held):
        return [unclear("lowered", f"{message}; it held {mib(last.held)}, which is not charged", at_sample(held))]
    return [passed("lowered", message, at_sample(held))]


def _for_pages(evidence: Evidence, name: str, sample: Sample | None) -> int | None:
    """What a cgroup is charged but for queued data; None where that is not known."""
    group, start = sample.cgroups.get(name) if sample else None, baseline(evidence)
    if sample is None or group is None or start is None:
        return None
    return group.current - max(group.stat.get("sock", 0), tcp_growth(sample, start))


def tried_the_lower_limit(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """never-over-lowered: the client ran when its limit was lowered below what it held, and asked for more."""
    log, record = evidence.clients[ledger.client], client_record(evidence, ledger.client)
    then = evidence.receiver.checkpoint("lowered")
    group = then.cgroups.get(ledger.client) if then else None
    last, charged = log.last("holding"), _for_pages(evidence, ledger.client, then)
    if last is None or then is None or group is None or charged is None or record is None or record.lowered is None:
        return [unclear("exercised", f"the limit of {ledger.client} was not lowered, or it never ended", log.path)]
    old = [s.t for s in evidence.receiver.samples if (g := s.cgroups.get(ledger.client)) and g.max == ledger.limit]
    refusal = last.fields.get("errno") == errno.ENOMEM and last.fields.get("call") == MAPPING
    message = (
        f"{ledger.client} was charged {mib(charged)} when its limit had been lowered to {mib(record.lowered)}; then it "
        + ("was refused with ENOMEM" if refusal else f"went on to {mib(last.count('delivered'))} without being refused")
    )
    tried = group.max == record.lowered < charged and bool(old) and last.t > max(old)
    more = refusal or last.count("delivered") == record.deliver
    return [(passed if tried and more else unclear)("exercised", message, at(log, last))]


def turned_away(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """refused: the client mapped up to its limit, was refused more many times, and got all the rest by copy."""
    log, held, limit = evidence.clients[ledger.client], ledger.last.held if ledger.last else 0, ledger.limit
    last, offered = log.last("holding"), deliver_of(evidence, ledger.client)
    if last is None or limit is None:
        return [unclear("exercised", f"{ledger.client} had no limit or never ended", log.path)]
    times, code, taken = last.count("refusals"), last.count("refusal"), last.count("delivered")
    message = (
        f"{ledger.client} held {mib(held)} with a limit of {mib(limit)}, was refused {times} times"
        + (f" with {errno.errorcode.get(code, code)}" if times else "")
        + f", and took {mib(taken)} of {mib(offered)}; {TURNED_AWAY} times with ENOMEM are needed"
    )
    often = times >= TURNED_AWAY and code == errno.ENOMEM
    enough = often and held >= limit // 2 and taken == offered >= MIB
    return [(passed if enough else unclear)("exercised", message, at(log, last))]


@rule("twice")
def twice(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What is charged beyond the live bytes stays within 45 pages a socket; live is mapped or still queued."""
    last, pointer, held = ledger.last, verdict_line(evidence, ledger), evidence.receiver.checkpoint("held")
    sockets, group = sockets_of(evidence, ledger.client), held.cgroups.get(ledger.client) if held else None
    if last is None or group is None or not sockets:
        return [unclear("twice", f"there is no moment at which {ledger.client} can be measured", pointer)]
    bound, slack, sock = sockets * SKB_PAGES * PAGE_SIZE, batch(evidence) + MIB, group.stat.get("sock", 0)
    over = last.charged - last.held
    message = (
        f"{mib(last.charged)} charged, {mib(sock)} of it as sock, for {mib(last.held)} mapped or queued: {mib(over)} "
        f"twice, over {sockets} sockets; {SKB_PAGES} pages each are {mib(bound)}, {mib(slack)} are tolerated"
    )
    if over > bound + slack:
        return [failed("twice", message, pointer)]
    if last.charged - sock < last.counts["mapped"] // 2:
        return [unclear("twice", f"{message}; what is mapped is not even charged once", pointer)]
    return [passed("twice", message, pointer)]


@rule("file-mapped")
def file_mapped(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The cgroup's file_mapped and the machine's nr_mapped both say what the client's page tables hold, and after the
    release that they hold nothing."""
    log, start = evidence.clients.get(ledger.client), baseline(evidence)
    held, released = evidence.receiver.checkpoint("held"), evidence.receiver.checkpoint("released")
    told = log.last("smaps") if log else None
    if log is None or told is None or start is None:
        return [
            unclear("file-mapped", f"{ledger.client} was not seen to hold anything", f"clients/{ledger.client}.jsonl")
        ]
    resident, mapped = told.count("resident"), told.count("mapped_now")
    message = f"smaps says that {mib(resident)} are mapped, the client counts {mib(mapped)}"
    own = passed if resident and abs(resident - mapped) <= PAGE_SIZE else unclear
    return [
        own("file-mapped", message, at(log, told)),
        *_counters(evidence, ledger.client, held, start, resident),
        *_counters(evidence, ledger.client, released, start, 0),
    ]


def _counters(evidence: Evidence, name: str, now: Sample | None, start: Sample, resident: int) -> Iterator[Finding]:
    """What the two counters say at a checkpoint, when page tables hold `resident` bytes."""
    if now is None or name not in now.cgroups:
        yield unclear("file-mapped", f"no checkpoint with /lab/{name} in it", "receiver/checkpoints.jsonl")
        return
    slack = batch(evidence) + MIB + resident // 50
    counters = {
        "nr_mapped of /proc/vmstat": _growth(now, start),
        f"file_mapped of /lab/{name}": now.cgroups[name].stat.get("file_mapped"),
    }
    for counter, counted in counters.items():
        if counted is None:
            yield unclear("file-mapped", f"{counter} is not there", at_sample(now))
            continue
        message = f"when {now.name}, {counter} says {mib(counted)} of {mib(resident)}; {mib(slack)} are tolerated"
        yield (passed if abs(counted - resident) <= slack else failed)("file-mapped", message, at_sample(now))


def _growth(now: Sample, start: Sample) -> int | None:
    if "nr_mapped" not in now.vmstat or "nr_mapped" not in start.vmstat:
        return None
    return (now.vmstat["nr_mapped"] - start.vmstat["nr_mapped"]) * PAGE_SIZE
