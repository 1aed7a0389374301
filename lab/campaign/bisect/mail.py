# SPDX-License-Identifier: GPL-2.0-only
"""PURE. The report of a search, fit for a mail to a list."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from lab.campaign.bisect.decide import bisection_of, parent_of
from lab.campaign.bisect.model import REVERT, Outcome, Purpose, Search, Suspect
from lab.campaign.bisect.sought import Mark, mark, tally
from lab.campaign.bisect.wording import (
    conclusion,
    culprit_of,
    headline,
    noun,
    other_failures,
    percent,
    short,
    titled,
)
from lab.stats.posterior import Tally
from lab.stats.rates import by_chance
from lab.text.words import one_line

COLUMNS = 75


def mail(search: Search) -> str:
    """Plain text, lines of 75 columns but for commands and what others wrote."""
    culprit = culprit_of(search)
    found = search.ended is Outcome.CULPRIT and bool(culprit)
    parts = _of_culprit(search, culprit) if found else _without(search)
    body = [*parts, *_all_runs(search), *_apart(search), *_again(search), *_where(search)]
    return "\n".join([f"Subject: {_subject(search, culprit if found else '')}", "", *body, ""])


def _subject(search: Search, culprit: str) -> str:
    asked = search.asked
    if not culprit:
        return headline(search)
    named = titled(search, search.range.named(culprit))
    return one_line(f"[bisected] {asked.case} on {asked.nic}: {search.sought} since {named}", 300)


def _of_culprit(search: Search, culprit: str) -> Iterator[str]:
    found = bisection_of(search)
    belief, suspect = found.belief(), search.range.named(culprit)
    sure = belief.culprit[search.range.history.suspects.index(culprit)]
    yield from ["Hello,", "", f"since {_called(search)}", "", f"  {titled(search, suspect)}"]
    yield from [f"  Author: {one_line(suspect.author)}"] if suspect.author else []
    yield from (f"  Fixes: {one_line(line)}" for line in suspect.fixes)
    yield ""
    message = search.sought.message if search.sought else ""
    yield from _wrapped(f"the case `{search.asked.case}` on NIC profile {search.asked.nic} gives {search.sought}.")
    yield from ["", *_indented(message)] if message else []
    yield ""
    yield from _wrapped(
        f"It is the one with {percent(sure)}, of {noun(search, len(search.range.suspects))}; that none of them is has "
        f"{percent(belief.none)}. A kernel with it fails in about {belief.failing:.0%} of the runs, one without it in "
        f"about {belief.passing:.0%}."
    )
    yield ""
    parent = parent_of(search, found, culprit)
    if parent:
        yield from _turns(search, suspect, search.range.named(parent))
    yield from _reverted(search)
    if search.range.kind == "commits":
        yield from ["", "A fix may carry", "", f"  Fixes: {titled(search, suspect)}"]
        yield from ["", f"#regzbot introduced: {culprit}"]


def _called(search: Search) -> str:
    return {"packages": "the step to", "commits": "commit", "patches": "patch"}[search.range.kind]


def _turns(search: Search, culprit: Suspect, parent: Suspect) -> Iterator[str]:
    rows = [(s, tally(search.of(s.name, Purpose.CONFIRM), search.sought)) for s in (culprit, parent)]
    batches = [
        {e.batch for e in search.entries if (e.suspect, e.purpose) == (s.name, Purpose.CONFIRM)} for s, _ in rows
    ]
    how = "run at the same time" if batches[0] & batches[1] else "run in turns"
    yield from [f"It and what it is based on, {how} (fail:runs):", ""]
    yield from (f"  {told!s:>7}  {titled(search, s)}" for s, told in rows)
    with_it, without = (told for _, told in rows)
    chance = by_chance((with_it.fails, with_it.runs), (without.fails, without.runs))
    yield from ["", f"By chance that would be {chance:.2g} (Fisher's exact test, one-sided)."]


def _reverted(search: Search) -> Iterator[str]:
    runs = search.of(REVERT)
    if runs:
        bad = tally(search.of(search.range.bad.name), search.sought)
        told = tally(runs, search.sought)
        yield from ["", f"Taken out of the bad end: {told}; the bad end itself: {bad} (fail:runs)."]
    elif search.told_revert:
        yield from ["", *_wrapped(f"Taken out of the bad end it was not: {search.told_revert}.")]


def _without(search: Search) -> Iterator[str]:
    yield from ["Hello,", ""]
    for line in [headline(search), *conclusion(search)]:
        yield from _wrapped(line)
    if search.sought:
        yield from ["", *_wrapped(f"Sought: {search.sought}."), *_indented(search.sought.message)]


def _all_runs(search: Search) -> Iterator[str]:
    yield from ["", "All that was run (fail:runs, the good end first):", ""]
    for suspect in (search.range.good, *search.range.suspects):
        told = tally(search.of(suspect.name), search.sought)
        if told != Tally():
            yield f"  {told!s:>7}  {titled(search, suspect)}"
    for name, why in search.skipped.items():
        yield f"  {'skipped':>7}  {short(search, search.range.named(name))}: {why}"
    yield from [f"  {line}" for line in search.range.about]


def _apart(search: Search) -> Iterator[str]:
    others = other_failures(search)
    if others:
        yield from ["", "Other failures met on the way, which were not counted:", ""]
        yield from (f"  {line}" for line in others)


def _again(search: Search) -> Iterator[str]:
    """One run that shows it, and the search itself."""
    name = culprit_of(search) or search.range.bad.name
    runs = [seen for seen in search.of(name) if mark(seen, search.sought) is Mark.SHOWN and seen.reproduce]
    yield from ["", "To reproduce:", ""]
    yield from [f"  {runs[0].reproduce}"] if runs else []
    yield f"  {search.asked.command}"


def _where(search: Search) -> Iterator[str]:
    yield from ["", "Environment:", ""]
    yield from (f"  {line}" for line in search.environment)
    yield f"  {search.paid} runs in {search.seconds / 60:.0f} minutes, begun {search.started}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(one_line(text), COLUMNS, break_long_words=False, break_on_hyphens=False)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in _wrapped(text)]
