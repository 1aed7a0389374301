# SPDX-License-Identifier: GPL-2.0-only
"""What a client's cgroup is charged at one moment, against what it holds then: no less, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.evidence.ledger import keeps, state_at
from lab.evidence.memory import baseline
from lab.evidence.model import ClientEvent, Evidence, Ledger, Sample
from lab.plan.case import HELD, Checkpoint
from lab.units import MIB, mib
from lab.verdict.case import Case, Rule, rule
from lab.verdict.measure import Between, at_sample, batch, own_charge, tcp_growth, unclear
from lab.verdict.model import Finding, Word

CHECKPOINTS = "receiver/checkpoints.jsonl"

SHARP = MIB // 2
"""What a client's own memory may grow by while it takes its bytes (page tables, its notes of page frames). Less than
the 2 MiB that a driver's cache of 512 pages could put on the wrong bill, so that those are seen."""


def state_of(evidence: Evidence, name: str, t: float) -> ClientEvent | None:
    """What a client said of itself last at that time."""
    log = evidence.clients.get(name)
    return state_at(log, t) if log else None


def growth(evidence: Evidence, name: str, sample: Sample) -> Between:
    """Growth of memory.current of a client's cgroup since it was ready for its first byte."""
    current, own = sample.cgroups[name].current, own_charge(evidence, name)
    return Between(current - own.high, current - own.low)


def exact(*checkpoints: Checkpoint, clients: Sequence[str] = ()) -> Rule:
    """The rule that at these checkpoints (`held`, when none is named) these clients (all) pay for what they hold.

    Not for one that takes long to be ready, with its sockets open: what is queued by then passes for its own.
    """
    names = checkpoints or (HELD,)

    @rule("exact")
    def asked(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        """At that moment a client is charged for what it holds then: no less, and no more."""
        lacking = [name for name in names if evidence.receiver.checkpoint(name) is None]
        if lacking or baseline(evidence) is None:
            return [unclear("exact", f"no checkpoint {', '.join(lacking) or 'baseline'}", CHECKPOINTS)]
        turns = (evidence.receiver.checkpoint(name) for name in names)
        asked_about = clients or [c.name for c in case.clients]
        return [f for turn in turns if turn for f in bills("exact", evidence, asked_about, turn)]

    return asked


def bills(name: str, evidence: Evidence, clients: Sequence[str], turn: Sample) -> Iterator[Finding]:
    """What the rule of that name finds about these clients at one moment."""
    found = [_bill(evidence, client, turn) for client in clients if client in turn.cgroups]
    words = {b.name: b.charged.word(b.low, b.high) for b in found}
    worst = next((word for word in (Word.FAIL, Word.ERROR) if word in words.values()), Word.PASS)
    told = [
        f"{b.name} held {mib(b.held)} and was charged {b.charged}"
        for b in found
        if words[b.name] is worst and (b.held or worst is not Word.PASS)
    ]
    message = f"in turn `{turn.name}` {'; '.join(told) or 'nobody held anything'}"
    idle = [abs(edge) for b in found if not b.held for edge in (b.charged.low, b.charged.high)]
    if idle and worst is Word.PASS:
        message += f"; the others no more than {mib(max(idle))}"
    yield Finding(name, worst if told else Word.ERROR, message, at_sample(turn))


@dataclass(frozen=True)
class _Bill:
    """What a client holds and is charged for at one moment, and within which bounds that is right. Bytes."""

    name: str
    held: int
    charged: Between
    low: int
    high: int


def _bill(evidence: Evidence, name: str, turn: Sample) -> _Bill:
    event = state_of(evidence, name, turn.t)
    held, slack = (keeps(event) if event else 0), batch(evidence) + SHARP
    grown = tcp_growth(turn, baseline(evidence) or turn)
    queues = max(0, min(turn.cgroups[name].stat.get("sock", 0), grown))
    return _Bill(name, held, growth(evidence, name, turn), held - slack, held + slack + queues)
