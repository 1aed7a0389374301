# SPDX-License-Identifier: GPL-2.0-only
"""From what was typed to a search: all that is wrong with it is told at once."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.campaign.bisect.commits import commits_between
from lab.campaign.bisect.model import Asked, Budget, Kind, Range, Search
from lab.campaign.bisect.packages import packages_between
from lab.campaign.bisect.patches import patches_of
from lab.campaign.bisect.sought import GONE
from lab.errors import BadInput
from lab.experiments.found import all_cases, all_designs, find_case
from lab.plan.design import design_of
from lab.plan.names import FAMILIES
from lab.plan.nics import NICS
from lab.spec.suite import unknown
from lab.units import seconds_of
from lab.verdict.model import Word

HINT = "lab bisect --help; lab cases and lab nics list what there is"
PAIRS = "-n takes `auto` or a positive number"
_RUNS = re.compile(r"(\d{1,6}) ?runs?")


def kind_of(packages: str, repo: str, series: str, ends: Sequence[str]) -> Kind:
    """Which history is meant. Raises BadInput where that is none, or several."""
    given = {"packages": bool(packages), "commits": bool(repo or any(ends)), "patches": bool(series)}
    kinds: dict[str, Kind] = {"packages": "packages", "commits": "commits", "patches": "patches"}
    chosen = [kinds[name] for name, is_given in given.items() if is_given]
    if len(chosen) != 1:
        raise BadInput(
            ["name one history: --packages FROM..TO, or --repo DIR --good REV --bad REV, or --series FILE"],
            hint="lab bisect --help",
        )
    return chosen[0]


def budget_of(text: str) -> Budget:
    """`40runs`, `2h`, `90min`, or several with `|` between. Raises BadInput."""
    runs, seconds = 0, 0.0
    for part in filter(None, (part.strip() for part in text.split("|"))):
        if (found := _RUNS.fullmatch(part)) and int(found[1]):
            runs = int(found[1])
        elif not part.isdigit() and (told := seconds_of(part)):
            seconds = told
        else:
            raise BadInput([f"--budget {text!r}: write 40runs, 2h, or '40runs|2h'"])
    return Budget(runs, seconds)


def checked_pairs(number: int) -> int:
    """Raises BadInput for a number that says nothing."""
    if number < 0:
        raise BadInput([PAIRS])
    return number


def begun(asked: Asked) -> Search:
    """A search of what is asked for. Raises BadInput with every problem of it, HostTrouble."""
    problems, hints = _of_options(asked), [HINT]
    found: Range | None = None
    find: dict[Kind, Callable[[], Range]] = {
        "packages": lambda: packages_between(asked.source, asked.design),
        "commits": lambda: commits_between(asked),
        "patches": lambda: patches_of(asked),
    }
    missing = [path for path in asked.configs if not Path(path).expanduser().is_file()]
    problems += [f"--config {path}: there is no such file" for path in missing]
    problems += ["--config: packages are not built"] if asked.configs and asked.kind == "packages" else []
    try:
        found = find[asked.kind]() if not missing else None
        _ = found.history if found else None
    except BadInput as exc:
        problems += exc.problems
        hints += [exc.hint] if exc.hint else []
    if problems or found is None:
        raise BadInput(problems, hint="; ".join(hints[::-1][:1] if len(problems) == 1 else hints))
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Search(asked, found, started)


def _of_options(asked: Asked) -> list[str]:
    problems = unknown("NIC profile", [asked.nic], tuple(NICS))
    case = find_case(asked.case)
    if case is None:
        problems += unknown("case", [asked.case], tuple(all_cases()))
    elif asked.sought and asked.sought != Word.PASS:
        rule = asked.sought.removeprefix(GONE)
        problems += [f"--sought: {p}" for p in unknown("finding", [rule], [r.name for r in case.rules])]
    if not 0.5 <= asked.confidence < 1:
        problems.append(f"--confidence {asked.confidence:g}: a number from 0.5 to below 1")
    if asked.family and asked.family not in FAMILIES:
        problems.append(f"--family {asked.family!r} is none of {', '.join(FAMILIES)}")
    problems += [PAIRS] if asked.pairs < 0 else []
    if asked.design:
        problems += unknown("design", [design_of(asked.design)], tuple(all_designs()))
    if asked.kind == "commits":
        problems += [f"--{name} is missing" for name in ("repo", "good", "bad") if not _given(asked, name)]
    return problems


def _given(asked: Asked, name: str) -> str:
    return {"repo": asked.source, "good": asked.good, "bad": asked.bad}[name]
