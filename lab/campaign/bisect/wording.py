# SPDX-License-Identifier: GPL-2.0-only
"""PURE. A search in words: what `lab bisect show` prints, and the log that git replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.campaign.bisect.decide import bisection_of
from lab.campaign.bisect.model import Outcome, Purpose, Search, Seen, Suspect
from lab.campaign.bisect.sought import Mark, mark, tally
from lab.stats.bisection import Answer
from lab.stats.posterior import Posterior
from lab.text.words import clipped, one_line

WIDTH = 120
FEW = 40
"""Suspects that are shown whatever is known of them."""
BAR, SUBJECT = 10, 36
HEADLINES = {
    Outcome.CULPRIT: "culprit found",
    Outcome.NONE: "no culprit: nothing in the range makes the difference",
    Outcome.OPEN: "no answer",
    Outcome.BRACKET: "the ends are wrong",
    Outcome.GOING_ON: "not finished",
}


def short(search: Search, suspect: Suspect) -> str:
    """How a suspect is called in a line."""
    return suspect.name[:12] if search.range.kind == "commits" else suspect.name


def titled(search: Search, suspect: Suspect) -> str:
    """As lists write a commit: `0123456789ab ("subject")`."""
    subject = f' ("{suspect.subject}")' if suspect.subject else ""
    return one_line(f"{short(search, suspect)}{subject}")


def culprit_of(search: Search) -> str:
    """The suspect that is the culprit at the confidence asked for, "" where none is."""
    answer, name = bisection_of(search).answer()
    return name if answer is Answer.CULPRIT else ""


def noun(search: Search, number: int) -> str:
    """`1 commit`, `2 patches`."""
    many = search.range.kind
    one = {"packages": "package", "commits": "commit", "patches": "patch"}[many]
    return f"{number} {one if number == 1 else many}"


def headline(search: Search) -> str:
    """One line."""
    asked = search.asked
    of = f"{asked.case} on {asked.nic}, {noun(search, len(search.range.suspects))}"
    return f"{of}: {HEADLINES[search.ended]}"


def conclusion(search: Search) -> list[str]:
    """What came of it, a few lines."""
    belief = bisection_of(search).belief()
    lines = []
    if name := culprit_of(search):
        sure = belief.culprit[search.range.history.suspects.index(name)]
        lines += [f"culprit: {titled(search, search.range.named(name))}", f"confidence: {percent(sure)}"]
    elif search.ended is Outcome.OPEN:
        left = belief.remaining(search.asked.confidence)
        lines += [f"culprit among: {titled(search, search.range.named(name))}" for name in left[:FEW]]
        lines += [f"... and {len(left) - FEW} more"] if len(left) > FEW else []
        lines += [f"none of them: {percent(belief.none)}"]
    return [*lines, *([search.why] if search.why else [])]


def shown(search: Search) -> list[str]:
    """The posterior over the suspects as bars, the runs as marks, and what they mean."""
    found = bisection_of(search)
    belief = found.belief()
    lines = [headline(search), *conclusion(search)]
    if search.sought:
        lines.append(one_line(f"sought: {search.sought}: {search.sought.message}".rstrip(": "), WIDTH))
    lines += [*search.range.about, ""]
    wide = max(len(short(search, s)) for s in (search.range.good, *search.range.suspects))
    head = f"{'':4} {'':{wide}} {'P(culprit)':>{BAR + 8}} {'fail:runs':>9}"
    lines += [head, *_rows(search, belief, wide, found.twins)]
    lines += [f"{'':4} {'none of them':{wide}} {_bar(belief.none)}", ""]
    letters = "x shown, . not shown, o another failure, - no verdict; in brackets: to confirm"
    lines.append(f"runs: {letters}")
    lines.append(f"{search.paid} runs, {search.seconds / 60:.1f} min; {_known(search)}")
    lines += [*_others(search), *_left_out(search)]
    return [clipped(line, WIDTH) for line in lines]


def marks(search: Search, name: str) -> str:
    """The runs of a suspect in their order."""
    letters = ""
    for entry in search.entries:
        if entry.suspect == name:
            letter = mark(entry.seen, search.sought).value
            letters += f"({letter})" if entry.purpose is Purpose.CONFIRM else letter
    return letters.replace(")(", "")


def percent(share: float) -> str:
    """`99.87 %`; never 100 % of what is only likely."""
    return f"{min(share * 100, 99.99):.2f} %" if share < 1 else "100 %"


def _rows(search: Search, belief: Posterior, wide: int, twins: dict[str, str]) -> Iterator[str]:
    hidden = 0
    few = len(search.range.suspects) <= FEW
    for place, suspect in enumerate((search.range.good, *search.range.suspects)):
        share = belief.culprit[place - 1] if place else 0.0
        letters = marks(search, suspect.name)
        if not (few or letters or share >= 0.001 or suspect.name in search.skipped or place == 0):
            hidden += 1
            continue
        if hidden:
            yield f"{'':4} ... {hidden} of which none was run"
            hidden = 0
        where = "good" if place == 0 else str(place)
        counted = str(tally(search.of(suspect.name), search.sought)) if set(letters) & {"x", "."} else ""
        note = f"= {short(search, search.range.named(twins[suspect.name]))}" if suspect.name in twins else letters
        note = "left out" if suspect.name in search.skipped and not letters else note
        bar = _bar(share) if place else " " * (BAR + 8)
        subject = one_line(suspect.subject, SUBJECT)
        yield f"{where:>4} {short(search, suspect):{wide}} {bar} {counted:>9}  {subject:{SUBJECT}}  {note}".rstrip()


def _bar(share: float) -> str:
    filled = round(share * BAR)
    return f"{'#' * filled:{BAR}} {percent(share):>7}"


def _known(search: Search) -> str:
    remembered = sum(entry.purpose is Purpose.REMEMBERED for entry in search.entries)
    return f"{remembered} more were known from the archive" if remembered else "none was known from the archive"


def _others(search: Search) -> Iterator[str]:
    """Failures that are not the one looked for: told apart, once each."""
    for line in other_failures(search):
        yield f"another failure: {line}"


def other_failures(search: Search) -> list[str]:
    """Where, how often and what, of those that steered nothing."""
    found: dict[tuple[str, str], list[Seen]] = {}
    for entry in search.entries:
        if mark(entry.seen, search.sought) is Mark.OTHER:
            found.setdefault((entry.suspect, entry.seen.why), []).append(entry.seen)
    return [
        f"{name[:12]}, {len(runs)} of its runs: {why} ({runs[0].session}/{runs[0].run})"
        for (name, why), runs in found.items()
    ]


def _left_out(search: Search) -> Iterator[str]:
    for name, why in search.skipped.items():
        yield f"left out: {name[:12]}: {why}"


# -- git bisect log --------------------------------------------------------------------------------------------------


def log(search: Search) -> list[str]:
    """The text of a `git bisect log`. What is not sure is not in it, so a replay ends where this search did."""
    lines = ["git bisect start"]
    judged: dict[str, str] = {}
    culprit = culprit_of(search) if search.ended is Outcome.CULPRIT else ""
    if search.ended is not Outcome.BRACKET:
        judged |= {search.range.bad.name: "bad", search.range.good.name: "good"}
        judged |= _judged(search)
        judged |= _around(search, culprit) if culprit else {}
    for name, word in judged.items():
        suspect = search.range.named(name)
        lines += [f"# {word}: [{name}] {one_line(suspect.subject)}", f"git bisect {word} {name}"]
    if culprit:
        lines.append(f"# first bad commit: [{culprit}] {one_line(search.range.named(culprit).subject)}")
    if search.range.kind == "commits":
        return lines
    return ["# not a history of git: nothing replays this", *(f"# {line.removeprefix('# ')}" for line in lines)]


def _judged(search: Search) -> dict[str, str]:
    """Suspects that were run or left out, in the order of their first run: good, bad or skip."""
    found = bisection_of(search)
    belief = found.belief()
    order = [entry.suspect for entry in search.entries if entry.suspect in search.range.history.parents]
    told: dict[str, str] = {}
    for name in dict.fromkeys([*order, *search.skipped]):
        bad = belief.bad(name)
        if name in search.skipped:
            told[name] = "skip"
        elif bad >= search.asked.confidence:
            told[name] = "bad"
        elif bad + belief.none <= 1 - search.asked.confidence:
            told[name] = "good"
    return told


def _around(search: Search, culprit: str) -> dict[str, str]:
    parents: Sequence[str] = search.range.history.parents[culprit]
    return {culprit: "bad", **dict.fromkeys(parents, "good")}
