"""The table of a campaign: kinds and counts, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.rounds import Outcome

HEAD = "| kind | rounds | done | words of the runs | broken |\n|---|---|---|---|---|"


def markdown(outcomes: Sequence[Outcome], seconds: float) -> str:
    """One row a kind; `done` counts the rounds whose fault could be done."""
    rows = [
        _row(kind, [o for o in outcomes if o.token.kind == kind]) for kind in sorted({o.token.kind for o in outcomes})
    ]
    done, bad = sum(bool(o.done) for o in outcomes), sum(bool(o.broken) for o in outcomes)
    total = f"{len(outcomes)} rounds in {seconds / 60:.0f} minutes, {done} with a fault done, {bad} broken."
    return "\n".join([HEAD, *rows, "", total, ""])


def _row(kind: str, outcomes: Sequence[Outcome]) -> str:
    words = [word.partition("=")[2] for outcome in outcomes for word in outcome.words]
    told = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    bad = [outcome for outcome in outcomes if outcome.broken]
    return f"| `{kind}` | {len(outcomes)} | {sum(bool(o.done) for o in outcomes)} | {told} | {len(bad) or ''} |"
