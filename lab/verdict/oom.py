# SPDX-License-Identifier: GPL-2.0-only
"""How memory ended: one word out of everything the OOM killer, the console and the clients say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.evidence.model import Constraint, Evidence, OomKill
from lab.verdict.measure import owner, refused, run_kills
from lab.verdict.model import Oom, OomOutcome

WORST_FIRST = (
    Oom.HANG,
    Oom.PANIC,
    Oom.DEADLOCK,
    Oom.GLOBAL_OTHER,
    Oom.MEMCG_OTHER,
    Oom.GLOBAL_ABUSER,
    Oom.MEMCG_ABUSER,
    Oom.ENOMEM,
    Oom.NONE,
)

OUT_OF_MEMORY = re.compile(r"System is deadlocked on memory|Out of memory: .*panic_on_oom")
"""What out_of_memory() of mm/oom_kill.c panics with."""


def classify(evidence: Evidence, subject: str) -> OomOutcome:
    """The worst outcome that happened to the guest under test, and every victim in the order of the console.

    subject  the client that counts as the abuser
    """
    happened = {*_deaths(evidence), *_kills(evidence, subject), *_refusals(evidence, subject), Oom.NONE}
    victims = tuple(victim(evidence, kill)[0] for kill in run_kills(evidence.tested))
    return OomOutcome(next(o for o in WORST_FIRST if o in happened), victims)


def victim(evidence: Evidence, kill: OomKill) -> tuple[str, str]:
    """A kill's victim as `task@/lab/name`, and the client it was ("" for none of ours)."""
    name = owner(evidence, kill)
    memcg = kill.task_memcg or (f"/lab/{name}" if name else "?")
    return f"{kill.task}@{memcg}", name


def _deaths(evidence: Evidence) -> Iterator[Oom]:
    if any(i.kind == "hang" for i in evidence.manifest.incidents):
        yield Oom.HANG
    for splat in evidence.tested.console.splats:
        if splat.kind == "panic":
            yield Oom.DEADLOCK if OUT_OF_MEMORY.search(splat.title) else Oom.PANIC


def _kills(evidence: Evidence, subject: str) -> Iterator[Oom]:
    for kill in run_kills(evidence.tested):
        ours = victim(evidence, kill)[1] == subject
        if kill.constraint is Constraint.MEMCG:
            yield Oom.MEMCG_ABUSER if ours else Oom.MEMCG_OTHER
        else:
            yield Oom.GLOBAL_ABUSER if ours else Oom.GLOBAL_OTHER


def _refusals(evidence: Evidence, subject: str) -> Iterator[Oom]:
    if refused(evidence, subject):
        yield Oom.ENOMEM
