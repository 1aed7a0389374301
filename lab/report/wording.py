# SPDX-License-Identifier: GPL-2.0-only
"""The words all reports share: sentences, sizes, the order of findings, text that any format can carry."""

from __future__ import annotations

from collections import Counter

from lab.evidence.manifest import HostRecord
from lab.evidence.model import Ledger
from lab.experiments.found import all_cases
from lab.report.model import RunResult, Session
from lab.text.words import one_line, printable
from lab.units import mib
from lab.verdict.cost import Cost
from lab.verdict.model import Finding, Oom, OomOutcome, Word
from lab.verdict.predict import MEASURED

__all__ = ["one_line", "printable"]

WORST_FIRST = tuple(Word)

OOM_SENTENCES = {
    Oom.NONE: "No OOM kill.",
    Oom.MEMCG_ABUSER: "The cgroup's limit killed the abuser.",
    Oom.MEMCG_OTHER: "A cgroup's limit killed somebody else than the abuser.",
    Oom.GLOBAL_ABUSER: "The guest ran out of memory and killed the abuser.",
    Oom.GLOBAL_OTHER: "The guest ran out of memory and killed somebody else than the abuser.",
    Oom.ENOMEM: "A system call of the abuser failed with ENOMEM; nobody was killed.",
    Oom.DEADLOCK: "The guest's memory was gone and nobody left to kill: its kernel panicked.",
    Oom.PANIC: "The guest's kernel panicked.",
    Oom.HANG: "The guest hung.",
}


def size(value: int | None, none: str = "not measured") -> str:
    """Bytes as MiB, without the minus of a rounded zero."""
    if value is None:
        return none
    text = mib(value)
    return text.removeprefix("-") if text == "-0.0 MiB" else text


def span(low: int, high: int) -> str:
    """A size, or the smallest and the largest of several."""
    first, last = size(low), size(high)
    return first if first == last else f"{first.removesuffix(' MiB')}..{last}"


def cell_words(words: tuple[tuple[Word, int], ...]) -> str:
    """`PASS`, `PASS x3` when all repeats agree, else `1 FAIL, 2 PASS`."""
    if len(words) == 1:
        word, times = words[0]
        return word.value if times == 1 else f"{word.value} x{times}"
    return ", ".join(f"{times} {word.value}" for word, times in words)


def escape_of(ledger: Ledger) -> int | None:
    """Bytes that escaped the charge on the ledger's last line; None when there is no line."""
    return ledger.last.escape if ledger.last else None


def escape_judged(result: RunResult) -> int | None:
    """The escape where the case is about it and it was measured; beside the PASS of another case it would only puzzle,
    and beside a MISS it would say something of the kernel."""
    case = all_cases().get(result.manifest.case)
    if result.verdict.word is Word.SKIP or result.verdict.word not in MEASURED:
        return None
    return escape_of(result.verdict.ledger) if case is None or case.escapes else None


def ratios(costs: list[Cost]) -> str:
    """A ratio with its interval, or the smallest and the largest of several."""
    if len(costs) == 1:
        return str(costs[0].instructions)
    values = [cost.instructions.value for cost in costs]
    return f"{min(values):.3f}..{max(values):.3f}"


def ledger_rows(ledger: Ledger) -> tuple[tuple[str, str, str], ...]:
    """The ledger's last line as (name, MiB, what it means)."""
    limit = ("limit", size(ledger.limit, "none"), "memory.max of the client's cgroup")
    line = ledger.last
    if line is None:
        return (limit,)
    return (
        *((own.name, size(line.counts[own.name]), own.meaning) for own in ledger.lines),
        ("held", size(line.held), "kept from everybody else, by the client's count"),
        ("charged", size(line.charged), "growth of its memory.current"),
        ("escape", size(line.escape), "held - charged"),
        ("gone", size(line.gone), "free memory lost that nothing else explains"),
        limit,
    )


def worst_first(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings by word, worst first; within a word as the rules spoke."""
    return tuple(sorted(findings, key=lambda f: WORST_FIRST.index(f.word)))


def reason(result: RunResult) -> str:
    """Why the run got its word: the messages of the findings of that word, one line each."""
    word = result.verdict.word
    messages = [one_line(f.message) for f in result.verdict.findings if f.word is word]
    return "\n".join(messages) or "no finding gives a reason"


def sentence(result: RunResult) -> str:
    """The first reason, and how many more there are; for lists that must stay short."""
    first, *others = reason(result).splitlines()
    return f"{first} (and {count(len(others), 'finding')} more)" if others else first


def oom_sentence(oom: OomOutcome) -> str:
    """How memory ended, in words."""
    told = OOM_SENTENCES[oom.outcome]
    return told if oom.outcome is Oom.NONE else f"{told.removesuffix('.')} ({oom.outcome.value})."


def prediction(result: RunResult) -> str:
    """How the run compares with what was predicted, in words."""
    if result.as_predicted:
        return "as predicted"
    if result.disagrees:
        return f"{result.verdict.word.value}, predicted {printable(result.instead_of)}"
    return f"{printable(result.predicted)} was predicted"


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(session: Session) -> str:
    """The session in two sentences."""
    results = session.results
    if not results:
        return "No runs."
    words = Counter(r.verdict.word for r in results)
    told = ", ".join(f"{words[word]} {word.value}" for word in WORST_FIRST if words[word])
    cases = count(len({r.manifest.case for r in results}), "case")
    kernels = count(len({r.manifest.kernel.name for r in results}), "kernel")
    nics = count(len({r.manifest.nic for r in results}), "NIC profile")
    return f"{count(len(results), 'run')} of {cases} on {kernels} and {nics}: {told}. {_agreement(results)}"


def known_lines(session: Session) -> list[str]:
    """Each known issue that excuses runs of the session, and how many."""
    told = Counter(issue for result in session.results for issue in result.known)
    return [f"{one_line(issue)} ({count(number, 'run')})" for issue, number in told.items()]


def accelerators(session: Session) -> list[str]:
    """Why guests did not run under KVM, or what was odd about it: each once; nothing where nothing is to be told."""
    hosts = dict.fromkeys(result.manifest.host for result in session.results)
    return list(dict.fromkeys(ran_under(host) for host in hosts if host.accelerator_why))


def ran_under(host: HostRecord) -> str:
    """An accelerator, and what there is to tell of it."""
    why = f": {one_line(host.accelerator_why)}" if host.accelerator_why else ""
    return f"Guests ran under {host.accelerator.upper()}{why}"


def _agreement(results: tuple[RunResult, ...]) -> str:
    told = [r for r in results if r.verdict.word is not Word.SKIP]
    wrong = sum(r.disagrees for r in told)
    if not told:
        return "Nothing was measured."
    if wrong:
        return f"{wrong} {'is' if wrong == 1 else 'are'} not as predicted."
    return "All that were measured are as predicted." if len(told) < len(results) else "All are as predicted."


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
