# SPDX-License-Identifier: GPL-2.0-only
"""Did a run do what its case claims? One rule, and the proofs that cases choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lab.evidence.ledger import client_record, counted
from lab.evidence.memory import baseline, gone
from lab.evidence.model import ClientEvent, Evidence, Ledger, ProgramLog
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, Rule, rule
from lab.verdict.measure import (
    at,
    at_sample,
    deliver_of,
    enough_held,
    most_held,
    not_allowed,
    passed,
    sockets_of,
    stopped,
    unclear,
    verdict_line,
    witness,
)
from lab.verdict.model import Finding

MAY_COPY = frozenset({"copy", "slow", "hold-or-copy", "copybuf", "race"})
"""Behaviours that do their part without mapping anything, or that copy more than they have to; what `hold-or-copy` must
map is for the rule `opted`, what `copybuf` and `race` for their own proofs."""

SHARE_AFTER = 16 * MIB
"""The mapped share is taken once that much has come: a refused client may go on by copying, which says nothing."""


Proof = Callable[[Evidence, Ledger], Iterable[Finding]]


def exercised(proof: Proof, *, maps: bool) -> Rule:
    """The rule that a case did what it speaks of, by this proof; `maps`: it says nothing unless pages were mapped."""

    @rule("exercised")
    def asked(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        """Pages were really mapped, where the case is about that, and as much was taken as it speaks of."""
        if ledger.client not in evidence.clients:
            return [unclear("exercised", f"client {ledger.client} left no output", f"clients/{ledger.client}.jsonl")]
        return [*(_mapped(evidence, case) if maps else ()), *proof(evidence, ledger)]

    return asked


def _mapped(evidence: Evidence, case: Case) -> Iterator[Finding]:
    names = [c.name for c in case.clients if c.behaviour not in MAY_COPY]
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


PAST = 1.5
"""Times its limit that a client must hold before it has shown that the limit does not bind. Four times are sent, of
which the least mappable profile that cases run on, e1000, maps 45 %."""


def took(times: float) -> Proof:
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


def took_delivered(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """At the checkpoint `held` it kept enough of what was offered."""
    wanted = enough_held(evidence, ledger.client)
    held = evidence.receiver.checkpoint("held")
    if held is None or ledger.last is None or ledger.last.t != held.t:
        return [unclear("exercised", f"{ledger.client} was not seen holding anything", verdict_line(evidence, ledger))]
    message = f"{ledger.client} held {mib(ledger.last.held)}, {mib(wanted)} are needed"
    return [(passed if ledger.last.held >= wanted else unclear)("exercised", message, at_sample(held))]


def took_unless_not_allowed(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """pin-uring: a kernel that refuses the first of these buffers leaves nothing to hold; `allowed` says so."""
    if refusal := not_allowed(evidence, ledger.client):
        log = evidence.clients[ledger.client]
        return [passed("exercised", f"{ledger.client} tried, and was refused", at(log, refusal))]
    return took(3)(evidence, ledger)


def left_behind(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """double-count: each socket still has the packet whose other pages are mapped, so `sock` exceeds what is queued."""
    yield from took_delivered(evidence, ledger)
    held, client = evidence.receiver.checkpoint("held"), client_record(evidence, ledger.client)
    log = evidence.clients[ledger.client]
    last = log.last("holding")
    if held is None or last is None or client is None or ledger.client not in held.cgroups:
        return
    sock, queued = held.cgroups[ledger.client].stat.get("sock", 0), last.count("queued")
    wanted = sockets_of(evidence, ledger.client) * PAGE_SIZE
    message = f"{mib(queued)} lie in the sockets and {mib(sock)} are charged as sock, {mib(wanted)} more are needed"
    yield (passed if queued and sock - queued >= wanted else unclear)("exercised", message, at_sample(held))


def still_out(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """dead-memcg: the pages were out when the cgroup had been removed, and a control cgroup had died before."""
    yield from took_delivered(evidence, ledger)
    removed, start = evidence.receiver.checkpoint("removed"), baseline(evidence)
    if removed is None or start is None or evidence.receiver.checkpoint("control") is None:
        yield unclear("exercised", "no checkpoint `removed` or `control`", "receiver/checkpoints.jsonl")
        return
    still, wanted = gone(removed, start), enough_held(evidence, ledger.client)
    message = f"{mib(still)} were out when the cgroup had been removed, {mib(wanted)} are needed"
    yield (passed if still >= wanted else unclear)("exercised", message, at_sample(removed))


def queued(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    queued = ledger.last.held if ledger.last else 0
    held = evidence.receiver.checkpoint("held")
    message = f"{mib(queued)} lay queued in the sockets, more than 1 MiB is needed"
    seen = held is not None and ledger.last is not None and ledger.last.t == held.t
    return [(passed if seen and queued > MIB else unclear)("exercised", message, verdict_line(evidence, ledger))]


def delivered_all(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """bytes-equal: whether all came is what `bytes-equal` judges; here, that something did for each client."""
    for name, log in evidence.clients.items():
        last = log.last("holding", "done")
        delivered = last.count("delivered") if last else 0
        message = f"client {name} took {mib(delivered)}"
        yield (passed if delivered >= MIB else unclear)("exercised", message, at(log, last))


def took_all(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """cost: every turn moved all of its bytes."""
    for name, log in evidence.clients.items():
        last, wanted = log.last("holding"), deliver_of(evidence, name)
        delivered = last.count("delivered") if last else 0
        whole = last is not None and last.fields.get("reason") == "complete" and delivered == wanted >= MIB
        message = f"client {name} took {mib(delivered)} of {mib(wanted)}"
        yield (passed if whole else unclear)("exercised", message, at(log, last))
