# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What to run next, and when to stop: a function of what a search knows, and of what a run of each would cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from lab.campaign.bisect.model import REVERT, Entry, Outcome, Purpose, Search, Seen, Sought
from lab.campaign.bisect.sought import Mark, mark, supposed, tally
from lab.plan.order import over_after
from lab.stats.bisection import Answer, Bisection, at_once, expected
from lab.stats.posterior import Posterior, Tally
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
WORLDS = 3
"""Suspects at once of which all that they may come to is foreseen; of more, what is likely."""
QUICK = 1.0
"""Seconds in which a kernel is made that only has to be taken note of."""
MOST_BESIDE = 40
"""Suspects that are compared when kernels are chosen that should be there to be run beside others."""

Cost = Callable[[str], float]


@dataclass(frozen=True)
class Step:
    """Run a suspect so many times."""

    suspect: str
    purpose: Purpose
    times: int


Steps = tuple[Step, ...]
"""What is run at once, in one session, for one purpose."""


@dataclass(frozen=True)
class Means:
    """What there is to search with, and what it takes. All in seconds but `pairs`.

    cost    until a run of a suspect is over, what must be made before it included;  making  that alone
    pairs   of guests that may run at once
    run, pair, around  a run; a pair made ready, which a suspect's runs share; what a session takes beside
    """

    cost: Cost
    making: Cost = lambda _: 0.0
    pairs: int = 1
    run: float = 1.0
    pair: float = 0.0
    around: float = 0.0

    def seconds(self, chosen: Sequence[str]) -> float:
        """A session of these suspects, of BATCH runs each time that one is named: on a pair for each suspect, or for
        each run where that is better (as lab.plan.order has it)."""
        lengths = [self.pair + BATCH * times * self.run for times in Counter(chosen).values()]
        each = [self.pair + self.run] * (BATCH * len(chosen))
        return self.around + min(self._over(batches) for batches in (lengths, each))[1]

    def _over(self, batches: Sequence[float]) -> tuple[float, float]:
        """What decides between two ways to do it, and seconds until it is done."""
        over = over_after(batches, self.pairs)
        return over + sum(batches) / self.pairs, over

    def runs_each(self, suspects: int) -> int:
        """Runs of each of so many suspects that use all pairs."""
        return BATCH * max(1, self.pairs // (BATCH * suspects))


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


def next_steps(search: Search, means: Means) -> Steps | Ended:
    """What is next. The ends come first, then what brings most for its seconds, then proof of what was found.

    Several steps only where pairs are free, and of kernels that are there: none is held up by one that has to be made.
    """
    found = bisection_of(search)
    steps = _of_ends(search, found, means) or _within(search, found, means)
    return steps if isinstance(steps, Ended) else _within_budget(search, steps)


def foreseen(search: Search, steps: Steps, means: Means) -> tuple[str, ...]:
    """Suspects whose kernel has to be made next, by what these steps come to: of each, all runs show the failure, or
    none does. The likelier come first; then, where pairs are free, those that should be run beside them. There may be
    none. Once a proof has begun both its kernels are there."""
    if any(step.suspect == REVERT or search.of(step.suspect, Purpose.CONFIRM) for step in steps):
        return ()
    after = [_ahead(search, steps, means, shown) for shown in _worlds(search, steps)]
    found = [name for name in (_unmade(now, then) for now, then in after) if name]
    if means.pairs > 1 and after:
        found += _beside(*after[0], means)
    return tuple(dict.fromkeys(found))


Shown = Mapping[str, bool]
"""By suspect whether its runs show the failure."""


def _worlds(search: Search, steps: Steps) -> Sequence[Shown]:
    """What steps may come to, the likeliest first: of one step both, of several as many as there are, and one more."""
    belief = bisection_of(search).belief()
    names = list(dict.fromkeys(step.suspect for step in steps))
    likely = {name: expected(belief, name) >= 0.5 for name in names}
    told = names[:WORLDS]
    worlds = [{**likely, **dict(zip(told, shown, strict=True))} for shown in product((True, False), repeat=len(told))]
    return sorted(worlds, key=lambda shown: -chance(belief, shown))[: len(told) + 1]


def chance(belief: Posterior, shown: Shown) -> float:
    """Of what a run of each of these may come to."""
    history = belief.history
    whole = belief.none * math.prod(belief.unrelated if yes else 1 - belief.unrelated for yes in shown.values())
    for place, (share, (failing, passing)) in enumerate(zip(belief.culprit, belief.rates, strict=True)):
        rates = ((failing if history.contained(name) >> place & 1 else passing, yes) for name, yes in shown.items())
        whole += share * math.prod(rate if yes else 1 - rate for rate, yes in rates)
    return whole


def _ahead(search: Search, steps: Steps, means: Means, shown: Shown) -> tuple[Search, Steps | Ended]:
    """What is known then, and next: each step ends as is likely, until one is of a kernel that has to be made."""
    then: Steps | Ended = steps
    for _ in range(FORESEEN):
        search = _after(search, steps, shown)
        then = next_steps(search, means)
        if isinstance(then, Ended) or then[0].suspect == REVERT or _unmade(search, then):
            break
        steps, shown = then, _worlds(search, then)[0]
    return search, then


def _unmade(search: Search, then: Steps | Ended) -> str:
    """The first suspect of these whose kernel has to be made."""
    names = () if isinstance(then, Ended) else (step.suspect for step in then if step.suspect != REVERT)
    return next((name for name in names if name not in search.contents), "")


def _beside(search: Search, then: Steps | Ended, means: Means) -> list[str]:
    """What would be run beside the first of these if every kernel were there, and is not."""
    if isinstance(then, Ended) or then[0].purpose is not Purpose.SEARCH:
        return []
    found = bisection_of(search)
    belief = found.belief()
    usable = found.usable()
    sparse = usable[:: math.ceil(len(usable) / MOST_BESIDE)]
    chosen = at_once(belief, then[0].suspect, sparse, BATCH, means.pairs, means.seconds)
    return [name for name in chosen if name not in search.contents]


def _after(search: Search, steps: Steps, shown: Shown) -> Search:
    """What would be known after steps whose runs are all alike."""
    sought = search.sought or Sought("whatever fails")
    more = [
        Entry(step.suspect, step.purpose, search.batches + 1, supposed(sought, shown=shown[step.suspect]))
        for step in steps
        for _ in range(step.times)
    ]
    return replace(search, sought=sought, entries=[*search.entries, *more])


def _of_ends(search: Search, found: Bisection, means: Means) -> Steps | Ended | None:
    """A wrong bracket is told before anything in between is needed. Both at once, where both kernels are there."""
    good, bad = search.range.good.name, found.twins.get(search.range.bad.name, search.range.bad.name)
    if bad == good:
        return None
    first: list[Step] = []
    for end, called in ((bad, "bad"), (good, "good")):
        if end in search.skipped:
            outcome = Outcome.OPEN if lost_by_the_lab(search.of(end)) else Outcome.BRACKET
            return tuple(first) or Ended(outcome, f"the {called} end {end} cannot be judged: {search.skipped[end]}")
        runs = sum(Word(seen.word) not in (Word.MISS, Word.SKIP) for seen in search.of(end))
        if runs < FIRST:
            first.append(Step(end, Purpose.SEARCH, even(FIRST - runs)))
        elif called == "bad" and not found.of(bad).fails:
            return (_of_silent(search, bad, runs, means),) if runs < MOST_OF_ENDS else _silent(search, bad)
    if first:
        return _those_there(search, first, means)
    belief = found.belief()
    fewest = sorted((bad, good), key=lambda end: found.of(end).runs)[: max(1, means.pairs)]
    alike = LEAST_SURE < belief.none < search.asked.confidence
    if alike and found.of(fewest[0]).runs < 2 * MOST_OF_ENDS:
        return tuple(Step(end, Purpose.SEARCH, means.runs_each(len(fewest))) for end in fewest)
    return None


def _those_there(search: Search, steps: Sequence[Step], means: Means) -> Steps:
    """The first, and beside it those whose kernels are there, as many as there are pairs."""
    first, *others = steps
    if not _is_there(search, first.suspect, means):
        return (first,)
    there = [step for step in others if _is_there(search, step.suspect, means)]
    return (first, *there)[: max(1, means.pairs)]


def _is_there(search: Search, name: str, means: Means) -> bool:
    return name in search.contents or means.making(name) <= QUICK


def _of_silent(search: Search, bad: str, runs: int, means: Means) -> Step:
    return Step(bad, Purpose.SEARCH, min(means.runs_each(1), even(MOST_OF_ENDS - runs)))


def _silent(search: Search, bad: str) -> Ended:
    words = [seen.word for seen in search.of(bad)]
    told = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    wanted = search.asked.sought or "FAIL"
    return Ended(Outcome.BRACKET, f"the bad end {bad} never showed {wanted} in {len(words)} runs ({told})")


def _within(search: Search, found: Bisection, means: Means) -> Steps | Ended:
    belief = found.belief()
    answer, culprit = found.answer(belief)
    if answer is Answer.NONE:
        return Ended(Outcome.NONE, _none(search, found))
    if answer is Answer.CULPRIT:
        return _proof(search, found, culprit, means)
    alike = found.alike(belief) if search.skipped else ()
    proposed = "" if alike else found.proposed(means.cost)
    if proposed:
        return _several(search, found, belief, proposed, means)
    left = alike or belief.remaining(search.asked.confidence)
    why = "what is between them cannot be tested" if search.skipped else "no run can tell them apart"
    return Ended(Outcome.OPEN, f"{len(left)} suspects remain: {why}")


def _several(search: Search, found: Bisection, belief: Posterior, first: str, means: Means) -> Steps:
    """The best one, and beside it what is worth it of that which is there."""
    chosen: tuple[str, ...] = (first,)
    if means.pairs > 1 and _is_there(search, first, means):
        there = [name for name in found.usable() if _is_there(search, name, means)]
        chosen = at_once(belief, first, there, BATCH, means.pairs, means.seconds)
    return tuple(Step(name, Purpose.SEARCH, BATCH * chosen.count(name)) for name in dict.fromkeys(chosen))


def _none(search: Search, found: Bisection) -> str:
    bad, good = search.range.bad.name, search.range.good.name
    if found.twins.get(bad) == good:
        return "both ends are the same kernel"
    return f"the good end fails {found.of(good)}, the bad end {found.of(bad)} (fail:runs): too alike for a culprit"


def _proof(search: Search, found: Bisection, culprit: str, means: Means) -> Steps | Ended:
    """Culprit and parent in turns, or both at once, until their difference is no chance; then, where it can be, the
    culprit's revert."""
    parent = parent_of(search, found, culprit)
    if not parent:
        return Ended(Outcome.CULPRIT, "its parent cannot be tested, so nothing was confirmed")
    with_it, without = (tally(search.of(name, Purpose.CONFIRM), search.sought) for name in (culprit, parent))
    if not is_significant(with_it, without, search.asked.confidence):
        tried = [len(search.of(name, Purpose.CONFIRM)) for name in (culprit, parent)]
        if min(tried) >= MOST_TO_CONFIRM:
            return Ended(Outcome.CULPRIT, f"not confirmed: it fails {with_it}, its parent {without} (fail:runs)")
        both = means.pairs > 1 and tried[0] == tried[1]
        turns = sorted(zip(tried, (culprit, parent), strict=True), key=lambda turn: turn[0])
        steps = [Step(name, Purpose.CONFIRM, means.runs_each(2) if both else BATCH) for _, name in turns]
        return _those_there(search, steps, means) if both else (steps[0],)
    if search.revert and not search.told_revert and len(search.of(REVERT)) < OF_REVERT:
        return (Step(REVERT, Purpose.REVERT, even(OF_REVERT - len(search.of(REVERT)))),)
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


def _within_budget(search: Search, steps: Steps) -> Steps | Ended:
    budget = search.asked.budget
    left = budget.runs - search.paid if budget.runs else sum(step.times for step in steps)
    over = bool(budget.seconds) and search.seconds >= budget.seconds
    kept: list[Step] = []
    for step in steps if not over else ():
        if left > 0:
            kept.append(replace(step, times=min(step.times, left)))
            left -= kept[-1].times
    if kept:
        return tuple(kept)
    spent = f"the budget is spent ({search.paid} runs, {search.seconds / 60:.0f} min)"
    if steps[0].purpose in (Purpose.CONFIRM, Purpose.REVERT):
        return Ended(Outcome.CULPRIT, f"{spent} before all was confirmed")
    left_over = bisection_of(search).belief().remaining(search.asked.confidence)
    return Ended(Outcome.OPEN, f"{spent}; {len(left_over)} suspects remain")


def even(number: int) -> int:
    """Runs come in pairs."""
    return number + number % BATCH


def lost_by_the_lab(runs: Sequence[Seen]) -> bool:
    """Whether no run got so far that it speaks of its kernel: it may when the lab's trouble is over."""
    told = [seen for seen in runs if "interrupted" not in seen.incidents]
    booted = not all("boot" in seen.incidents for seen in told)
    return bool(told) and booted and all(Word(seen.word) is Word.MISS for seen in told)


def reason_to_skip(name: str, search: Search) -> str:
    """Why a suspect gives no observation; "" when it gives one, or may yet. Runs that a signal ended say nothing."""
    runs = search.of(name)[search.forgiven.get(name, 0) :]
    told = [seen for seen in runs if "interrupted" not in seen.incidents]
    marks = [mark(seen, search.sought) for seen in told]
    if not told or Mark.SHOWN in marks or Mark.ABSENT in marks:
        return ""
    if all("boot" in seen.incidents for seen in told):
        return f"it does not boot: {told[-1].why}"
    if lost_by_the_lab(told):
        return f"the lab could not run it: {told[-1].why}" if len(told) >= LOST else ""
    spoke = [seen for seen in told if Word(seen.word) is not Word.MISS]
    what = {Word.FAIL: "it fails in another way", Word.SKIP: "it was skipped"}
    return f"{what.get(Word(spoke[-1].word), 'it gives no verdict')}: {spoke[-1].why}"
