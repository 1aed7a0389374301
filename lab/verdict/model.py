"""Verdict words, findings, and what a verdict is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def kernel_died(findings: Sequence[Finding]) -> bool:
    """Whether a rule found a fault in a kernel's console, or that it hung: that is no answer to what the case asks."""
    return any(f.rule == "kernel-alive" and f.word is Word.FAIL for f in findings)


class Oom(StrEnum):
    """How memory ended. `*_OTHER`: the victim was not the abuser."""

    NONE = "none"
    MEMCG_ABUSER = "memcg-kill-abuser"
    MEMCG_OTHER = "memcg-kill-other"
    GLOBAL_ABUSER = "global-kill-abuser"
    GLOBAL_OTHER = "global-kill-other"
    ENOMEM = "enomem"
    PANIC = "panic"
    HANG = "hang"


@dataclass(frozen=True)
class OomOutcome:
    """The classified outcome, worst first where several happened, and who was killed as `task@memcg`."""

    outcome: Oom
    victims: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """One word, and everything it rests on. `cost` against a reference, where the case compares."""

    word: Word
    findings: tuple[Finding, ...]
    ledger: Ledger
    oom: OomOutcome
    cost: Cost | None = None

    @property
    def kernel_died(self) -> bool:
        """See the function of that name."""
        return kernel_died(self.findings)
