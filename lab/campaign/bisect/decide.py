# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What to run next, and when to stop: a function of what a search knows, and of what a run of each would cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.campaign.bisect.model import REVERT, Entry, Outcome, Purpose, Search, Seen, Sought
from lab.campaign.bisect.sought import Mark, mark, supposed, tally
from lab.stats.bisection import Answer, Bisection, expected
from lab.stats.posterior import Tally
from lab.stats.rates import by_chance
from lab.verdict.model import Word

BATCH = 2
"""Runs at a time: one over IPv4 and one over IPv6, so that no suspect is judged by one of them alone."""
FIRST = 4
"""Runs of each end before anything between them is built."""
LEAST_SURE = 0.1
"""Chance of "no culprit" that the ends may leave. Above it they are run again: that costs no build."""
MOST_OF_ENDS = 12
"""Runs of an end after which a failure that never showed is not there."""
MOST_TO_CONFIRM = 48
OF_REVERT = 6
LOST = 2 * BATCH
"""Runs that the lab may lose on a suspect before it is left out."""
FORESEEN = 2
"""Steps that are thought through: the next one may be of a kernel that is there."""

Cost = Callable[[str], float]


@dataclass(frozen=True)
class Step:
    """Run a suspect so many times."""

    suspect: str
    purpose: Purpose
    times: int


@dataclass(frozen=True)
class Ended:
    """Nothing is left to do."""

    outcome: Outcome
    why: str


def bisection_of(search: Search) -> Bisection:
    """The search as statistics see it."""
    found = Bisection(search.range.history, search.asked.confidence)
    found.skipped = set(search.skipped)
    found.twins = twins_of(search)
    for entry in search.entries:
        said = mark(entry.seen, search.sought)
        if entry.suspect != REVERT and said in (Mark.SHOWN, Mark.ABSENT):
            found.observe(entry.suspect, failed=said is Mark.SHOWN)
    return found


def twins_of(search: Search) -> dict[str, str]:
    """Suspects whose kernel is the very kernel of one before them. By their source where nobody has built them."""
    first: dict[str, str] = {}
    twins: dict[str, str] = {}
    for suspect in (search.range.good, *search.range.suspects):
        keys = [f"{kind} {key}" for kind, key in _keys(search, suspect.name, suspect.content) if key]
        other = next((first[key] for key in keys if key in first), "")
        if other:
            twins[suspect.name] = other
        for key in keys:
            first.setdefault(key, other or suspect.name)
    return twins


def _keys(search: Search, name: str, content: str) -> tuple[tuple[str, str], ...]:
    return ("source", content), ("kernel", search.contents.get(name, ""))


def next_step(search: Search, cost: Cost) -> Step | Ended:
    """What is next. The ends come first, then what brings most for its seconds, then proof of what was found."""
    found = bisection_of(search)
    step = _of_ends(search, found) or _within(search, found, cost)
    return step if isinstance(step, Ended) else _within_budget(search, step)


def foreseen(search: Search, step: Step, cost: Cost) -> tuple[str, ...]:
    """Suspects whose kernel has to be made next: if all runs of this step show the failure, and if none does. The
    likelier comes first; there may be one or none. Once a proof has begun both its kernels are there."""
    if step.suspect == REVERT or search.of(step.suspect, Purpose.CONFIRM):
        return ()
    likelier = _is_likely(search, step)
    found = (_unmade(search, step, cost, shown=shown) for shown in (likelier, not likelier))
    return tuple(dict.fromkeys(name for name in found if name))


def _unmade(search: Search, step: Step, cost: Cost, *, shown: bool) -> str:
    """Then each of the steps that follow ends as is likely, until one is of a kernel that has to be made."""
    for _ in range(FORESEEN):
        search = _after(search, step, shown=shown)
        then = next_step(search, cost)
        if isinstance(then, Ended) or then.suspect == REVERT:
            return ""
        if then.suspect not in search.contents:
            return then.suspect
        step, shown = then, _is_likely(search, then)
    return ""


def _is_likely(search: Search, step: Step) -> bool:
    return expected(bisection_of(search).belief(), step.suspect) >= 0.5


def _after(search: Search, step: Step, *, shown: bool) -> Search:
    """What would be known after a step whose runs are all alike."""
    sought = search.sought or Sought("whatever fails")
    entry = Entry(step.suspect, step.purpose, search.batches + 1, supposed(sought, shown=shown))
    return replace(search, sought=sought, entries=[*search.entries, *[entry] * step.times])


def _of_ends(search: Search, found: Bisection) -> Step | Ended | None:
    """A wrong bracket is told before anything in between is needed."""
    good, bad = search.range.good.name, found.twins.get(search.range.bad.name, search.range.bad.name)
    if bad == good:
        return None
    for end, called in ((bad, "bad"), (good, "good")):
        if end in search.skipped:
            return Ended(Outcome.BRACKET, f"the {called} end {end} cannot be judged: {search.skipped[end]}")
        runs = sum(Word(seen.word) not in (Word.MISS, Word.SKIP) for seen in search.of(end))
        if runs < FIRST:
            return Step(end, Purpose.SEARCH, even(FIRST - runs))
        if called == "bad" and not found.of(bad).fails:
            return _of_silent(search, bad, runs)
    belief = found.belief()
    few = min((bad, good), key=lambda end: found.of(end).runs)
    alike = LEAST_SURE < belief.none < search.asked.confidence
    return Step(few, Purpose.SEARCH, BATCH) if alike and found.of(few).runs < 2 * MOST_OF_ENDS else None


def _of_silent(search: Search, bad: str, runs: int) -> Step | Ended:
    if runs < MOST_OF_ENDS:
        return Step(bad, Purpose.SEARCH, BATCH)
    words = [seen.word for seen in search.of(bad)]
    told = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    wanted = search.asked.sought or "FAIL"
    return Ended(Outcome.BRACKET, f"the bad end {bad} never showed {wanted} in {len(words)} runs ({told})")


def _within(search: Search, found: Bisection, cost: Cost) -> Step | Ended:
    belief = found.belief()
    answer, culprit = found.answer(belief)
    if answer is Answer.NONE:
        return Ended(Outcome.NONE, _none(search, found))
    if answer is Answer.CULPRIT:
        return _proof(search, found, culprit)
    alike = found.alike(belief) if search.skipped else ()
    proposed = "" if alike else found.proposed(cost)
    if proposed:
        return Step(proposed, Purpose.SEARCH, BATCH)
    left = alike or belief.remaining(search.asked.confidence)
    why = "what is between them cannot be tested" if search.skipped else "no run can tell them apart"
    return Ended(Outcome.OPEN, f"{len(left)} suspects remain: {why}")


def _none(search: Search, found: Bisection) -> str:
    bad, good = search.range.bad.name, search.range.good.name
    if found.twins.get(bad) == good:
        return "both ends are the same kernel"
    return f"the good end fails {found.of(good)}, the bad end {found.of(bad)} (fail:runs): too alike for a culprit"


def _proof(search: Search, found: Bisection, culprit: str) -> Step | Ended:
    """Culprit and parent in turns until their difference is no chance; then, where it can be, the culprit's revert."""
    parent = parent_of(search, found, culprit)
    if not parent:
        return Ended(Outcome.CULPRIT, "its parent cannot be tested, so nothing was confirmed")
    with_it, without = (tally(search.of(name, Purpose.CONFIRM), search.sought) for name in (culprit, parent))
    if not is_significant(with_it, without, search.asked.confidence):
        tried = [len(search.of(name, Purpose.CONFIRM)) for name in (culprit, parent)]
        if min(tried) >= MOST_TO_CONFIRM:
            return Ended(Outcome.CULPRIT, f"not confirmed: it fails {with_it}, its parent {without} (fail:runs)")
        return Step(culprit if tried[0] <= tried[1] else parent, Purpose.CONFIRM, BATCH)
    if search.revert and not search.told_revert and len(search.of(REVERT)) < OF_REVERT:
        return Step(REVERT, Purpose.REVERT, even(OF_REVERT - len(search.of(REVERT))))
    chance = by_chance((with_it.fails, with_it.runs), (without.fails, without.runs))
    return Ended(
        Outcome.CULPRIT, f"confirmed: it fails {with_it}, its parent {without} (fail:runs), by chance {chance:.2g}"
    )


def wants_revert(search: Search, found: Bisection, culprit: str) -> bool:
    """Whether it is time to try: the culprit is confirmed, and nobody has looked whether it can be taken out."""
    parent = parent_of(search, found, culprit)
    with_it, without = (tally(search.of(name, Purpose.CONFIRM), search.sought) for name in (culprit, parent))
    untried = bool(parent) and not search.revert and not search.told_revert
    return untried and is_significant(with_it, without, search.asked.confidence)


def parent_of(search: Search, found: Bisection, culprit: str) -> str:
    """What the culprit is set beside: its first parent that can be run, "" when there is none."""
    parents = search.range.history.parents[culprit] or (search.range.good.name,)
    usable = [found.twins.get(parent, parent) for parent in parents]
    return next((name for name in usable if name not in search.skipped), "")


def is_significant(with_it: Tally, without: Tally, confidence: float) -> bool:
    """Half of what is allowed: the table is looked at after every batch."""
    chance = by_chance((with_it.fails, with_it.runs), (without.fails, without.runs))
    return chance <= (1 - confidence) / 2


def _within_budget(search: Search, step: Step) -> Step | Ended:
    budget = search.asked.budget
    left = budget.runs - search.paid if budget.runs else step.times
    over = bool(budget.seconds) and search.seconds >= budget.seconds
    if left > 0 and not over:
        return Step(step.suspect, step.purpose, min(step.times, left))
    spent = f"the budget is spent ({search.paid} runs, {search.seconds / 60:.0f} min)"
    if step.purpose in (Purpose.CONFIRM, Purpose.REVERT):
        return Ended(Outcome.CULPRIT, f"{spent} before all was confirmed")
    left_over = bisection_of(search).belief().remaining(search.asked.confidence)
    return Ended(Outcome.OPEN, f"{spent}; {len(left_over)} suspects remain")


def even(number: int) -> int:
    """Runs come in pairs."""
    return number + number % BATCH


def reason_to_skip(runs: Sequence[Seen], search: Search) -> str:
    """Why a suspect gives no observation; "" when it gives one, or may yet. Runs that a signal ended say nothing."""
    told = [seen for seen in runs if "interrupted" not in seen.incidents]
    marks = [mark(seen, search.sought) for seen in told]
    if not told or Mark.SHOWN in marks or Mark.ABSENT in marks:
        return ""
    if all("boot" in seen.incidents for seen in told):
        return f"it does not boot: {told[-1].why}"
    spoke = [seen for seen in told if Word(seen.word) is not Word.MISS]
    if not spoke:
        return f"the lab could not run it: {told[-1].why}" if len(told) >= LOST else ""
    what = {Word.FAIL: "it fails in another way", Word.SKIP: "it was skipped"}
    return f"{what.get(Word(spoke[-1].word), 'it gives no verdict')}: {spoke[-1].why}"
