# SPDX-License-Identifier: GPL-2.0-only
"""Did a run do what its case claims? One rule, and the proofs that cases choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lab.evidence.ledger import counted
from lab.evidence.model import Evidence, Ledger
from lab.units import MIB, mib
from lab.verdict.case import Case, Rule, rule
from lab.verdict.measure import at, at_sample, deliver_of, passed, unclear, verdict_line
from lab.verdict.model import Finding
from suites.tx_zerocopy.clients import COMPLETED, SENT, UNCOPIED, ZEROCOPIED, ZEROCOPY

Proof = Callable[[Evidence, Ledger], Iterable[Finding]]


def exercised(proof: Proof) -> Rule:
    """The rule that a case did what it speaks of, by this proof."""

    @rule("exercised")
    def asked(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        """What was sent with MSG_ZEROCOPY was not copied after all, and as much was sent as the case speaks of."""
        if ledger.client not in evidence.clients:
            return [unclear("exercised", f"client {ledger.client} left no output", f"clients/{ledger.client}.jsonl")]
        return [*_uncopied(evidence, case), *proof(evidence, ledger)]

    return asked


def _uncopied(evidence: Evidence, case: Case) -> Iterator[Finding]:
    """The kernel says of each send, when it lets go of it, whether it copied it (SO_EE_CODE_ZEROCOPY_COPIED)."""
    floor = evidence.manifest.floor
    for log in (
        evidence.clients[c.name] for c in case.clients if c.behaviour in ZEROCOPY and c.name in evidence.clients
    ):
        last = max(counted(log), key=lambda e: e.count(COMPLETED), default=None)
        sent, completed, uncopied = (last.count(key) if last else 0 for key in (ZEROCOPIED, COMPLETED, UNCOPIED))
        share = uncopied / completed if completed else 0.0
        message = (
            f"client {log.name} sent {mib(sent)} with MSG_ZEROCOPY; of {mib(completed)} that the kernel let go "
            f"{share:.0%} were never copied, the floor is {floor:.0%}"
        )
        enough = sent >= MIB and completed and floor <= share <= 1
        yield (passed if enough else unclear)("exercised", message, at(log, last))


def kept_in_flight(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """At the checkpoint `held` half of what was offered was with the kernel, and not acknowledged."""
    held, wanted = evidence.tested.checkpoint("held"), max(MIB, deliver_of(evidence, ledger.client) // 2)
    pointer = verdict_line(evidence, ledger)
    if held is None or ledger.last is None or ledger.last.t != held.t:
        return [unclear("exercised", f"{ledger.client} was not seen to keep anything in flight", pointer)]
    message = f"{ledger.client} had {mib(ledger.last.held)} in flight, {mib(wanted)} are needed"
    return [(passed if ledger.last.held >= wanted else unclear)("exercised", message, at_sample(held))]


def all_bounded(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Each client had more to send, kept a MiB in flight at least, and was stopped by what is to stop it."""
    for name, log in evidence.clients.items():
        last, offered = log.last("holding"), deliver_of(evidence, name)
        reason, kept = str(last.fields.get("reason", "")) if last else "", last.count("held") if last else 0
        stopped = last is not None and reason in ("full", "refused") and last.count(SENT) < offered
        message = f"{name} was stopped ({reason or 'never'}) with {mib(kept)} in flight, of {mib(offered)} to be sent"
        yield (passed if stopped and kept >= MIB else unclear)("exercised", message, at(log, last))


def queued(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """tx-copy-control: copies lay in the sockets at the checkpoint `held`."""
    lay, held = ledger.last.held if ledger.last else 0, evidence.tested.checkpoint("held")
    message = f"{mib(lay)} lay queued in the sockets, more than 1 MiB is needed"
    seen = held is not None and ledger.last is not None and ledger.last.t == held.t
    return [(passed if seen and lay > MIB else unclear)("exercised", message, verdict_line(evidence, ledger))]


def sent_all(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Each client gave all it had to its sockets."""
    for name, log in evidence.clients.items():
        last, offered = log.last("holding"), deliver_of(evidence, name)
        sent = last.count(SENT) if last else 0
        whole = last is not None and last.fields.get("reason") == "complete" and sent == offered >= MIB
        yield (passed if whole else unclear)(
            "exercised", f"client {name} sent {mib(sent)} of {mib(offered)}", at(log, last)
        )


def still_out(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """exit-in-flight: the client kept enough in flight, and then its process was gone from its cgroup."""
    yield from kept_in_flight(evidence, ledger)
    exited = evidence.tested.checkpoint("exited")
    group = exited.cgroups.get(ledger.client) if exited else None
    gone = group is not None and group.procs == 0
    message = f"the process of {ledger.client} was {'gone' if gone else 'not seen to be gone'} at `exited`"
    yield (passed if gone else unclear)("exercised", message, at_sample(exited, evidence.tested.role))
