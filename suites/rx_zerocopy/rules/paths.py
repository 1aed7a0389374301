# SPDX-License-Identifier: GPL-2.0-only
"""Rules about the ways by which a page comes to be mapped, and goes: without the hint, over, in parts, in masses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.evidence.ledger import counted, keeps
from lab.evidence.memory import baseline, gone
from lab.evidence.model import ClientEvent, Evidence, Ledger, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    BATCH_PAGES,
    agreement,
    at,
    at_sample,
    deliver_of,
    failed,
    mem_total,
    passed,
    sockets_of,
    unclear,
)
from lab.verdict.model import Finding
from suites.rx_zerocopy.rules.bills import CHECKPOINTS, state_of
from suites.rx_zerocopy.rules.claims import gone_for_good
from suites.rx_zerocopy.rules.exercised import Proof, took_delivered

TIMES = 2
"""Times what its page tables hold in the end that a client must have mapped, without ever unmapping any."""


def mapped_over(*names: str) -> Proof:
    """These clients mapped where pages were mapped already, and the kernel took those away by itself."""

    def proof(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
        for name in names:
            log = evidence.clients.get(name)
            last = log.last("holding") if log else None
            if log is None or last is None:
                yield unclear("exercised", f"client {name} never ended", f"clients/{name}.jsonl")
                continue
            mapped, now = last.count("mapped"), last.count("mapped_now")
            message = (
                f"{name} mapped {mib(mapped)} and unmapped nothing, and {mib(now)} are in its page tables: the kernel "
                f"unmapped {mib(mapped - now)} to map anew"
            )
            enough = now >= MIB and mapped >= TIMES * now
            yield (passed if enough else unclear)("exercised", message, at(log, last))

    return proof


def both(*proofs: Proof) -> Proof:
    """All of these proofs."""

    def proof(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
        for one in proofs:
            yield from one(evidence, ledger)

    return proof


held_and_mapped_over = both(took_delivered, mapped_over("over"))
"""One kept what it mapped on clean ranges, the other one mapped over."""


def over_ipv6(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """ipv6: the manifest says that the streams went over IPv6, and each sender was given such an address."""
    family = evidence.manifest.family
    for client in evidence.manifest.clients:
        told = client.peer_argv
        address = told[told.index("--to") + 1] if "--to" in told[:-1] else ""
        message = f"the stream of {client.name} went to {address or 'nobody knows where'}, over {family}"
        good = family == "ipv6" and ":" in address
        yield (passed if good else unclear)("exercised", message, "manifest.json")


# -- partial ---------------------------------------------------------------------------------------------------------

CUTS = ("unmap", "drop", "cover", "move", "protect")
"""What is done to an eighth of what is mapped, in that order; guest/zc-cut.c. Checkpoints bear these names."""

GONE = CUTS[:3]


def _after(evidence: Evidence, name: str, how: str) -> ClientEvent | None:
    """What a client said when it had done that."""
    log = evidence.clients.get(name)
    return next((e for e in log.events if e.event == "cut" and e.fields.get("how") == how), None) if log else None


@rule("follows")
def follows(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """After each cut the client's page table, its smaps and the guest's free memory say the same of what is there."""
    return [f for how in CUTS for f in _follows(evidence, ledger.client, how)]


def _follows(evidence: Evidence, name: str, how: str) -> Iterator[Finding]:
    sample, event, start = evidence.receiver.checkpoint(how), _after(evidence, name, how), baseline(evidence)
    if sample is None or event is None or start is None:
        yield unclear("follows", f"no checkpoint `{how}`, or the client did not say that it was done", CHECKPOINTS)
        return
    there, resident, missing = event.count("mapped_now"), event.count("resident"), gone(sample, start)
    told = f"its page table holds {mib(there)}, smaps says {mib(resident)}, {mib(missing)} of memory are gone"
    message = f"after `{how}` {told}"
    agree = abs(there - resident) <= PAGE_SIZE and abs(missing - there) <= agreement(there)
    yield (passed if agree else unclear)("follows", message, at_sample(sample))


def was_cut(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """partial: three cuts took about an eighth each away, two took nothing, and none of the calls failed."""
    yield from took_delivered(evidence, ledger)
    log = evidence.clients[ledger.client]
    last = log.last("holding")
    before = last.count("mapped_now") if last else 0
    eighth = before // 8
    for how in CUTS:
        event = _after(evidence, ledger.client, how)
        now = event.count("mapped_now") if event else 0
        taken, wanted = before - now, eighth if how in GONE else 0
        message = f"`{how}` took {mib(taken)} away, {mib(wanted)} are what it should"
        good = event is not None and "errno" not in event.fields and abs(taken - wanted) <= 8 * PAGE_SIZE
        yield (passed if good else unclear)("exercised", message, at(log, event))
        before = now


# -- pressure --------------------------------------------------------------------------------------------------------


def held_under_pressure(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """pressure: memory was taken until the kernel had to reclaim, and kept until the client had let go."""
    yield from took_delivered(evidence, ledger)
    held, pressed, released = (evidence.receiver.checkpoint(name) for name in ("held", "pressed", "released"))
    before, after = (state_of(evidence, ledger.client, s.t) if s else None for s in (held, pressed))
    if held is None or pressed is None or released is None or before is None or after is None:
        yield unclear("exercised", "no checkpoint `held`, `pressed` or `released`", CHECKPOINTS)
        return
    taken, kept = (s.meminfo["AnonPages"] - held.meminfo["AnonPages"] for s in (pressed, released))
    stalls = stalls_of(pressed) - stalls_of(held)
    message = (
        f"{mib(taken)} were taken, {stalls} allocations had to reclaim, and {mib(kept)} were kept until the release; "
        f"{ledger.client} held {mib(keeps(before))} before and {mib(keeps(after))} then"
    )
    good = stalls > 0 and kept > 0.9 * taken and keeps(before) == keeps(after)
    yield (passed if good else unclear)("exercised", message, at_sample(pressed))


def stalls_of(sample: Sample) -> int:
    """Allocations that had to reclaim what they needed, since boot; allocstall_* of /proc/vmstat."""
    return sum(count for name, count in sample.vmstat.items() if name.startswith("allocstall"))


# -- copybuf ---------------------------------------------------------------------------------------------------------

WAYS_TO_COPY = ("fallback", "straggled", "hinted", "peeked")
"""Counters of the client: see the behaviour `copybuf` of suites/rx_zerocopy/guest/zc-client.c."""


@rule("urgent")
def urgent(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Every byte that was sent out of band came so, and once."""
    log, peer = evidence.clients.get(ledger.client), evidence.peers.get(ledger.client)
    got, sent = (one.last("done") if one else None for one in (log, peer))
    if log is None or got is None or sent is None:
        return [unclear("urgent", f"{ledger.client} or its sender did not end", f"clients/{ledger.client}.jsonl")]
    came, out, wanted = got.count("urgent"), sent.count("urgent"), sockets_of(evidence, ledger.client)
    message = f"{came} bytes came out of band, {out} were sent so, one on each of {wanted} sockets"
    if out != wanted:
        return [unclear("urgent", message, at(log, got))]
    return [(passed if came == out else failed)("urgent", message, at(log, got))]


def copied_in_all_ways(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """copybuf: enough was mapped and held, and some of the rest came by each of the other ways."""
    yield from took_delivered(evidence, ledger)
    log = evidence.clients[ledger.client]
    last = log.last("holding")
    for way in WAYS_TO_COPY:
        size = last.count(way) if last else 0
        message = f"{mib(size)} {way}, a page is needed"
        yield (passed if size >= PAGE_SIZE else unclear)("exercised", message, at(log, last))


# -- race ------------------------------------------------------------------------------------------------------------

RACED = {"unmapped": 1000, "forked": 25, "passed": 25, "limited": 4}
"""How often each may have happened at least; counters of the client: see zc-race.c. Two cores without KVM, busy with
another pair as well, give 96 to 179 children in the minute, and a quarter of it is enough."""

RACED_BYTES = 16 * MIB


@rule("nothing-left")
def nothing_left(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """No cgroup that was removed in between lingers, more than one that was made and removed for nothing."""
    control, end = (evidence.receiver.checkpoint(name) for name in ("control", "end"))
    if control is None or end is None:
        return [unclear("nothing-left", "no checkpoint `control` or `end`", CHECKPOINTS)]
    return gone_for_good("nothing-left", control, end)


def raced(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """race: on several vCPUs, each of the things that race happened often enough, and pages were mapped meanwhile."""
    log, vcpus = evidence.clients[ledger.client], evidence.manifest.pair.vcpus
    last = log.last("holding")
    word = passed if vcpus > 1 else unclear
    yield word("exercised", f"the guest under test had {vcpus} vCPUs, more than one are needed", "manifest.json")
    mapped = last.count("mapped") if last else 0
    message = f"{ledger.client} mapped {mib(mapped)}, {mib(RACED_BYTES)} are needed"
    yield (passed if mapped >= RACED_BYTES else unclear)("exercised", message, at(log, last))
    for what, least in RACED.items():
        times = last.count(what) if last else 0
        message = f"{what} {times} times, {least} are needed"
        yield (passed if times >= least else unclear)("exercised", message, at(log, last))


# -- turnover --------------------------------------------------------------------------------------------------------

OWN_PAGES = 16
"""Pages by which two processes that do the same may differ (stacks, page tables, slab that is shared)."""

KEPT_IN = 1000
"""Of so many pages that come by, one that stays must be seen."""


def _allowed(evidence: Evidence) -> int:
    """Pages of charge that may stay, however many have come by: the batch of each CPU, and a process's own."""
    return BATCH_PAGES * evidence.manifest.pair.vcpus + OWN_PAGES


@rule("turned-over")
def turned_over(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Whoever had very many pages come by is charged, once it has let go, for hardly more than one who had few."""
    few, many = (client.name for client in case.clients)
    before, after = _let_go(evidence, few, "few"), _let_go(evidence, many, "released")
    if before is None or after is None:
        return [unclear("turned-over", "no checkpoint at which both had let go", CHECKPOINTS)]
    then, now = before.cgroups[few].current, after.cgroups[many].current
    left, allowed = (now - then) // PAGE_SIZE, _allowed(evidence)
    message = (
        f"{many} had {mib(_mapped(evidence, many))} come by and is charged {mib(now)}, {few} had "
        f"{mib(_mapped(evidence, few))} and was charged {mib(then)}: {left} pages more, {allowed} are tolerated; "
        f"{_counted(after, many)} pages are charged to it by /proc/kpagecgroup"
    )
    if now > mem_total(evidence):
        return [failed("turned-over", f"{message}: it underflowed", at_sample(after))]
    return [(passed if abs(left) <= allowed else failed)("turned-over", message, at_sample(after))]


def _let_go(evidence: Evidence, name: str, checkpoint: str) -> Sample | None:
    """The checkpoint, if the client had released by then and its cgroup was there."""
    sample, log = evidence.receiver.checkpoint(checkpoint), evidence.clients.get(name)
    released = log.last("released") if log else None
    there = sample and released and released.t <= sample.t and name in sample.cgroups
    return sample if there else None


def _counted(sample: Sample, name: str) -> int | str:
    pages = sample.pages.charged.get(sample.cgroups[name].ino) if sample.pages else None
    return "unknown" if pages is None else pages


def _mapped(evidence: Evidence, name: str) -> int:
    log = evidence.clients.get(name)
    return max((e.count("mapped") for e in counted(log)), default=0) if log else 0


def turned(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """turnover: all of both streams came, the limit is small beside it, and one page in KEPT_IN that stays shows."""
    for client in evidence.manifest.clients:
        log = evidence.clients[client.name]
        last, offered = log.last("holding"), deliver_of(evidence, client.name)
        taken = last.count("delivered") if last else 0
        message = f"{client.name} took {mib(taken)} of {mib(offered)}"
        yield (passed if taken == offered >= MIB else unclear)("exercised", message, at(log, last))
    mapped, allowed = _mapped(evidence, ledger.client) // PAGE_SIZE, _allowed(evidence)
    message = f"{mapped} pages came by, {KEPT_IN * (allowed + 1)} are needed to see one in {KEPT_IN} that stays"
    enough = mapped >= KEPT_IN * (allowed + 1)
    yield (passed if enough else unclear)("exercised", message, evidence.clients[ledger.client].path)
