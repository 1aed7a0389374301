# SPDX-License-Identifier: GPL-2.0-only
"""Verdict words, findings, and what a verdict is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.evidence.model import Ledger
from lab.verdict.cost import Cost


class Word(StrEnum):
    """The words of the kernel-CI result schema (kcidb), worst first."""

    FAIL = "FAIL"
    ERROR = "ERROR"
    MISS = "MISS"
    PASS = "PASS"  # noqa: S105
    DONE = "DONE"
    SKIP = "SKIP"


@dataclass(frozen=True)
class Finding:
    """One rule's statement. `pointer` is `file` or `file:line` inside the bundle, lines from 1."""

    rule: str
    word: Word
    message: str
    pointer: str


@dataclass(frozen=True)
class Part:
    """What a case says of one of its parts. `pointer` as in a finding."""

    name: str
    word: Word
    reason: str
    pointer: str


EVERYWHERE = "balanced"
"""The rule about the kernel that holds whatever a case claims."""


def faults(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """What was found of a kernel that warned, died or hung."""
    return tuple(f for f in findings if f.rule == "kernel-alive" and f.word is Word.FAIL)


class Oom(StrEnum):
    """How memory ended. `*_OTHER`: the victim was not the abuser."""

    NONE = "none"
    MEMCG_ABUSER = "memcg-kill-abuser"
    MEMCG_OTHER = "memcg-kill-other"
    GLOBAL_ABUSER = "global-kill-abuser"
    GLOBAL_OTHER = "global-kill-other"
    ENOMEM = "enomem"
    DEADLOCK = "deadlock"
    PANIC = "panic"
    HANG = "hang"


@dataclass(frozen=True)
class OomOutcome:
    """The classified outcome, worst first where several happened, and who was killed as `task@memcg`."""

    outcome: Oom
    victims: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """One word, and everything it rests on. `cost` against a reference, where the case compares.

    parts  of a case that is made of several, each with a word of its own
    told   what its experiment tells beside them, by name
    """

    word: Word
    findings: tuple[Finding, ...]
    ledger: Ledger
    oom: OomOutcome
    cost: Cost | None = None
    parts: tuple[Part, ...] = ()
    told: Mapping[str, str | int | None] = field(default_factory=dict)

    @property
    def kernel_fault(self) -> bool:
        """Whether a kernel faulted, or broke what holds in every case: that is no answer to what the case asks.

        Exception: a panic for want of memory alone, beside a failed rule of the case, is the expected failure.
        """
        if any(f.rule == EVERYWHERE and f.word is Word.FAIL for f in self.findings):
            return True
        found = faults(self.findings)
        others = any(f.word is Word.FAIL and f not in found for f in self.findings)
        return bool(found) and not (len(found) == 1 and self.oom.outcome is Oom.DEADLOCK and others)
