# SPDX-License-Identifier: GPL-2.0-only
"""Clients do not end at once: what one kept that is done is nobody's any more, while another still holds its most."""

from __future__ import annotations

from lab.evidence.bundle import parse
from lab.evidence.model import Evidence, Sample
from lab.verdict.measure import Moment, states
from tests.unit.verdict.builder import story


def test_who_is_done_keeps_nothing() -> None:
    """Seen on two busy cores: the innocent was done, and the abuser, told to end as well, still there for a second."""
    told = story("bystander")
    evidence = parse(told.files())
    done = told.event("innocent", "done")["t"]
    before = next(s for s in reversed(evidence.receiver.samples) if s.t < done)
    after = next(s for s in evidence.receiver.samples if s.t >= done)
    assert len(said_at(evidence, before)) == 2
    assert "done" not in said_at(evidence, after)
    assert len(said_at(evidence, after)) < 2


def test_the_ledger_of_who_was_killed_ends_with_it() -> None:
    """Its last line says that it holds; nobody has told it to let go."""
    told = story("killed")
    evidence, ledger = parse(told.files()), told.verdict().ledger
    dead = next(s.t for s in evidence.receiver.samples if s.t > ledger.points[0].t and not s.cgroups["abuser"].procs)
    assert told.clients["abuser"][-1]["held"] == ledger.points[-1].held > 0
    assert ledger.points[-1].t < dead
    assert ledger.points[-1].charged > 0


def said_at(evidence: Evidence, sample: Sample) -> list[str]:
    """The events of which clients are believed at a sample."""
    return [e.event for e in states(evidence, Moment(sample.t, sample, sample))]
