# SPDX-License-Identifier: GPL-2.0-only
"""Rules about the claims themselves: each turns one promise of the kernel into PASS or FAIL, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.evidence.ledger import client_record
from lab.evidence.memory import baseline, gone
from lab.evidence.model import CgroupSample, Evidence, Ledger, Sample
from lab.units import KIB, MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    at,
    at_sample,
    batch,
    checkpoints_of,
    failed,
    mem_total,
    passed,
    settled,
    sockets_of,
    tolerance,
    unclear,
    verdict_line,
)
from lab.verdict.model import Finding
from suites.tx_zerocopy.clients import COMPLETED, HELD_BYTES, NOTIFIED, SENDS, SENT, ZEROCOPIED, ZEROCOPY, Sending

OVERHEAD = 8
"""What a socket may be charged beside the pages that it sends: an eighth of them. A packet of 17 pages, the least that
MAX_SKB_FRAGS allows, has a struct sk_buff and a head of 1.3 KiB; a page counted twice would be all of it."""

OWN = MIB
"""What a client may come to use of its own after it was first seen: notes of its sends, page tables."""


@rule("billed")
def billed(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What a client has unmapped and only its sockets keep is still charged to its cgroup."""
    held, last, pointer = evidence.tested.checkpoint("held"), ledger.last, verdict_line(evidence, ledger)
    group = held.cgroups.get(ledger.client) if held else None
    if held is None or last is None or group is None or last.t != held.t:
        return [unclear("billed", f"{ledger.client} was not seen to keep anything in flight", pointer)]
    if last.charged > mem_total(evidence):
        return [failed("billed", f"{mib(last.charged)} charged is more than the guest has: it underflowed", pointer)]
    sock, slack = group.stat.get("sock", 0), tolerance(evidence, last.held)
    escape = last.held - (last.charged - sock)
    message = (
        f"{ledger.client} had {mib(last.held)} in flight and was charged {mib(last.charged)}, {mib(sock)} of it as "
        f"sock: {mib(max(0, escape))} escaped, {mib(slack)} are tolerated"
    )
    return [(failed if escape > slack else passed)("billed", message, pointer)]


@rule("once")
def once(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """A page in flight is charged as the anonymous page that it is, and not as memory of its socket as well."""
    held, last, pointer = evidence.tested.checkpoint("held"), ledger.last, verdict_line(evidence, ledger)
    group = held.cgroups.get(ledger.client) if held else None
    if held is None or last is None or group is None or last.t != held.t or "sock" not in group.stat:
        return [unclear("once", f"no `sock` of {ledger.client} at the checkpoint `held`", checkpoints_of(evidence))]
    sock, allowed = group.stat["sock"], last.held // OVERHEAD + batch(evidence) + OWN
    over = last.charged - last.held
    message = (
        f"{mib(last.held)} were in flight; {mib(last.charged)} charged, {mib(sock)} of it as sock; {mib(allowed)} are "
        "tolerated for the packets themselves"
    )
    if last.charged - sock < last.held // 2:
        return [unclear("once", f"{message}; the pages are not even charged once", pointer)]
    return [(failed if max(sock, over) > allowed else passed)("once", message, pointer)]


@rule("bounded")
def bounded(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What a client can keep in flight is bounded: by SO_SNDBUF, by net.core.optmem_max, by RLIMIT_MEMLOCK."""
    return [_bounded(evidence, client) for client in case.clients if isinstance(client, Sending)]


SKB_LEAST = 576
"""SKB_TRUESIZE(0), the least that a notification is taken for: sock_omalloc() of net/core/sock.c."""
A_NOTIFICATION = 512 * KIB
"""Bytes of sends that one may stand for: `byte_limit` of msg_zerocopy_realloc(). A larger send has one of its own."""
ONE_PACKET = 256 * KIB
"""By how much a socket may pass its SO_SNDBUF: it is looked at before each packet, and no packet is larger."""


def _bounded(evidence: Evidence, client: Sending) -> Finding:
    log = evidence.clients.get(client.name)
    ready, accepted, last = (log.last(event) if log else None for event in ("ready", "accepted", "holding"))
    if log is None or ready is None or accepted is None or last is None:
        return unclear("bounded", f"{client.name} never ended", f"clients/{client.name}.jsonl")
    sockets, kept = sockets_of(evidence, client.name), last.count(HELD_BYTES)
    bounds = {"SO_SNDBUF": sockets * (accepted.count("sndbuf") + ONE_PACKET)}
    notifications = ready.count("optmem_max") // SKB_LEAST + 1
    bounds["optmem_max"] = sockets * notifications * A_NOTIFICATION
    if "memlock" in ready.fields and ready.count("uid"):
        bounds["RLIMIT_MEMLOCK"] = ready.count("memlock")
    least = min(bounds, key=lambda name: bounds[name])
    told = ", ".join(f"{name} {mib(size)}" for name, size in bounds.items())
    message = f"{client.name} had {mib(kept)} in flight over {sockets} sockets; bounds: {told}; {least} is the least"
    if not bounds[least]:
        return unclear("bounded", f"{message}; it did not say what it was", at(log, accepted))
    return (passed if kept <= bounds[least] else failed)("bounded", message, at(log, last))


@rule("returned")
def returned(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """When the kernel has let go of all that was sent, charge and free memory are back where they were."""
    released, end, start = (evidence.tested.checkpoint(name) for name in ("released", "end", "baseline"))
    log = evidence.clients.get(ledger.client)
    if released is None or end is None or start is None or log is None:
        return [
            unclear("returned", f"{ledger.client} was not seen to be rid of what it sent", checkpoints_of(evidence))
        ]
    last = max((e for e in log.events if e.t <= released.t), key=lambda e: e.t, default=None)
    if last is None or last.count("unacked"):
        return [
            unclear(
                "returned", f"{ledger.client} still had {mib(last.count('unacked') if last else 0)} out", at(log, last)
            )
        ]
    held = ledger.last.held if ledger.last else 0
    return [_charge_back(evidence, ledger.client, released), _memory_back(released, end, start, held)]


def _charge_back(evidence: Evidence, name: str, released: Sample) -> Finding:
    group, own = released.cgroups.get(name), _before(evidence, name)
    if group is None or own is None:
        return unclear("returned", f"nobody read the charge of /lab/{name} before and after", at_sample(released))
    allowed = own.current + OWN + batch(evidence)
    message = f"memory.current is {mib(group.current)} after release, up to {mib(allowed)} is its own"
    if group.current > mem_total(evidence):
        return failed("returned", f"{message}: it underflowed", at_sample(released))
    return (passed if group.current <= allowed else failed)("returned", message, at_sample(released))


def _before(evidence: Evidence, name: str) -> CgroupSample | None:
    """The cgroup of a client before it sent anything, as the last sample before its connections shows it."""
    log = evidence.clients.get(name)
    accepted = log.last("accepted") if log else None
    if accepted is None:
        return None
    seen = (s.cgroups[name] for s in reversed(evidence.tested.samples) if s.t <= accepted.t and name in s.cgroups)
    return next(seen, None)


def _memory_back(released: Sample, end: Sample, start: Sample, held: int) -> Finding:
    best = min((released, end), key=lambda s: gone(s, start))
    missing = gone(best, start)
    message = f"{mib(missing)} of memory are still gone at `{best.name}`, up to {mib(settled(held))} is noise"
    return (passed if missing <= settled(held) else failed)("returned", message, at_sample(best))


@rule("outlives")
def outlives(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What is in flight stays charged to the cgroup of a process that has ended, for as long as it is in flight."""
    exited, start = evidence.tested.checkpoint("exited"), baseline(evidence)
    group = exited.cgroups.get(ledger.client) if exited else None
    if exited is None or start is None or group is None or ledger.last is None:
        return [
            unclear(
                "outlives", f"nobody looked at /lab/{ledger.client} when its process was gone", checkpoints_of(evidence)
            )
        ]
    out, pages = gone(exited, start), exited.pages.charged.get(group.ino, 0) * PAGE_SIZE if exited.pages else None
    slack = tolerance(evidence, ledger.last.held)
    message = (
        f"{mib(out)} of memory were out when the process was gone, and {mib(group.current)} charged to its cgroup "
        f"({'nobody counted pages' if pages is None else f'{mib(pages)} page by page'}); {mib(slack)} are tolerated"
    )
    if pages is None or abs(pages - group.current) > settled(group.current) or out < ledger.last.held // 2:
        return [unclear("outlives", f"{message}; the two counts disagree, or little was out", at_sample(exited))]
    return [(failed if out - group.current > slack else passed)("outlives", message, at_sample(exited))]


@rule("notified")
def notified(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Every send is notified, once, and not before the peer has acknowledged it."""
    found = [f for c in case.clients if c.behaviour in ZEROCOPY for f in _notified(evidence, c.name)]
    return found or [unclear("notified", "no client sends with MSG_ZEROCOPY", "manifest.json")]


def _notified(evidence: Evidence, name: str) -> Iterator[Finding]:
    log, peer = evidence.clients.get(name), evidence.peers.get(name)
    last, got = log.last("done") if log else None, peer.last("done") if peer else None
    if log is None or last is None or got is None:
        yield unclear("notified", f"client {name} or its peer did not end", f"clients/{name}.jsonl")
        return
    sends, heard, received = last.count(SENDS), last.count(NOTIFIED), got.count("received")
    wrong = {key: last.count(key) for key in ("twice", "unknown", "early") if last.count(key)}
    message = (
        f"{name}: {heard} of {sends} sends were notified, {mib(last.count(COMPLETED))} of {mib(last.count(ZEROCOPIED))}"
    )
    if wrong:
        told = ", ".join(f"{count} {key}" for key, count in wrong.items())
        yield failed("notified", f"{message}; {told}", at(log, last))
    elif last.count(COMPLETED) > received:
        yield failed("notified", f"{message}, and the peer has {mib(received)}", at(log, last))
    elif received != last.count(SENT):
        yield unclear("notified", f"{message}; the peer has {mib(received)} of {mib(last.count(SENT))}", at(log, last))
    else:
        yield (passed if heard == sends > 0 else failed)("notified", message, at(log, last))


@rule("none-early")
def none_early(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """While a peer reads nothing, no more is notified than its receive buffers can have acknowledged."""
    held = evidence.tested.checkpoint("held")
    waiting = [c for c in case.clients if isinstance(c, Sending) and c.waits and c.behaviour in ZEROCOPY]
    if held is None or not waiting:
        return [unclear("none-early", "no peer waited at the checkpoint `held`", checkpoints_of(evidence))]
    return [_none_early(evidence, client, held) for client in waiting]


WINDOWS = 4
"""Times SO_RCVBUF that a peer may acknowledge before it reads: the kernel doubles what is asked for, and takes a
segment that is larger than what is left of the window."""


def _none_early(evidence: Evidence, client: Sending, held: Sample) -> Finding:
    log = evidence.clients.get(client.name)
    last = next((e for e in reversed(log.events) if e.t <= held.t), None) if log else None
    if log is None or last is None or not client.window:
        return unclear("none-early", f"{client.name} said nothing, or has no window", f"clients/{client.name}.jsonl")
    most, heard = client.sockets * WINDOWS * client.window, last.count(COMPLETED)
    message = f"{client.name} was notified of {mib(heard)}, its peer can have acknowledged {mib(most)} at most"
    return (passed if heard <= most else failed)("none-early", message, at(log, last))


@rule("bytes-equal")
def bytes_equal(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Every peer got exactly what its client sent, from buffers that were filled anew when they had been let go."""
    found = [_same_bytes(evidence, c.name) for c in case.clients if c.verify]
    return found or [unclear("bytes-equal", "no client verifies what is sent", "manifest.json")]


def _same_bytes(evidence: Evidence, name: str) -> Finding:
    log, peer, record = evidence.clients.get(name), evidence.peers.get(name), client_record(evidence, name)
    sent, got = log.last("done") if log else None, peer.last("done") if peer else None
    if log is None or peer is None or record is None or sent is None or got is None:
        return unclear("bytes-equal", f"client {name} or its peer did not end", f"clients/{name}.jsonl")
    if "mismatches" not in got.fields or "hash" not in got.fields or "hash" not in sent.fields:
        return unclear("bytes-equal", f"client {name} or its peer gave no hash", at(peer, got))
    pointer, out, received = at(peer, got), sent.count(SENT), got.count("received")
    if got.count("mismatches"):
        where = got.count("first_mismatch")
        return failed("bytes-equal", f"{name}: {got.count('mismatches')} bytes differ, the first at {where}", pointer)
    if out != record.deliver or received != out:
        return unclear("bytes-equal", f"{name}: {received} bytes came of {out} sent, {record.deliver} offered", pointer)
    if got.fields["hash"] != sent.fields["hash"]:
        return failed("bytes-equal", f"{name}: the hash of what came is not that of what was sent", pointer)
    return passed("bytes-equal", f"{name}: {mib(received)} came as they were sent", pointer)


@rule("queue-billed")
def queue_billed(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What the kernel copied into sockets is charged as `sock`, and is no more than their buffers hold."""
    held, last, log = evidence.tested.checkpoint("held"), ledger.last, evidence.clients.get(ledger.client)
    group = held.cgroups.get(ledger.client) if held else None
    accepted = log.last("accepted") if log else None
    if held is None or last is None or group is None or accepted is None or "sock" not in group.stat:
        return [unclear("queue-billed", "no `sock` counter at the checkpoint `held`", checkpoints_of(evidence))]
    sock, buffers = group.stat["sock"], sockets_of(evidence, ledger.client) * (accepted.count("sndbuf") + ONE_PACKET)
    queued = f"{ledger.client} has {mib(last.held)} queued and is charged {mib(sock)} as sock"
    message = f"{queued}; its buffers hold {mib(buffers)}"
    sound = sock >= last.held * 9 // 10 and last.held <= buffers
    return [(passed if sound else failed)("queue-billed", message, at_sample(held))]
