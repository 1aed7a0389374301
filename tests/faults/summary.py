# SPDX-License-Identifier: GPL-2.0-only
"""The table of a campaign: kinds and counts, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.rounds import Outcome

ENOUGH = 4
"""Rounds after which a kind should have been done once: it may come too late for its session, but not each time."""
HEAD = "| kind | rounds | done | words of the runs | broken |\n|---|---|---|---|---|"


def markdown(outcomes: Sequence[Outcome], seconds: float) -> str:
    """One row a kind; `done` counts the rounds whose fault could be done."""
    rows = [
        _row(kind, [o for o in outcomes if o.token.kind == kind]) for kind in sorted({o.token.kind for o in outcomes})
    ]
    done, bad = sum(bool(o.done) for o in outcomes), sum(bool(o.broken) for o in outcomes)
    total = f"{len(outcomes)} rounds in {seconds / 60:.0f} minutes, {done} with a fault done, {bad} broken."
    idle = [f"`{kind}` was never done: its rounds prove nothing." for kind in never_done(outcomes)]
    return "\n".join([HEAD, *rows, "", total, *idle, ""])


def never_done(outcomes: Sequence[Outcome]) -> list[str]:
    """Kinds that had their chances and did nothing: the campaign itself is broken."""
    kinds = sorted({o.token.kind for o in outcomes})
    tries = {kind: [bool(o.done) for o in outcomes if o.token.kind == kind] for kind in kinds}
    return [kind for kind, done in tries.items() if len(done) >= ENOUGH and not any(done)]


def _row(kind: str, outcomes: Sequence[Outcome]) -> str:
    words = [word.partition("=")[2] for outcome in outcomes for word in outcome.words]
    told = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    bad = [outcome for outcome in outcomes if outcome.broken]
    return f"| `{kind}` | {len(outcomes)} | {sum(bool(o.done) for o in outcomes)} | {told} | {len(bad) or ''} |"
