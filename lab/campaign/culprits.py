# SPDX-License-Identifier: GPL-2.0-only
"""What a night does with the time that is left: it looks for the step that brought a new failure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lab.archive.compare import Change
from lab.archive.rows import KernelRow
from lab.campaign.bisect import wording
from lab.campaign.bisect.asking import begun, kind_of
from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import Asked, Budget, Outcome
from lab.campaign.bisect.record import FILE, held, load
from lab.campaign.bisect.work import search_on
from lab.contracts import Progress
from lab.session.conduct import Conducts, Listener
from lab.spec.night import Target

Command = Callable[[Change, KernelRow, KernelRow], str]


def bisecting(folder: Path, target: Target) -> Command:
    """The command that finds the step which brought a change of this target, "" where there is none to find."""
    built = ["--design", target.design] if target.design else []
    for path in target.config:
        built += ["--config", str(folder / Path(path).expanduser())]

    def command(change: Change, good: KernelRow, bad: KernelRow) -> str:
        run = change.witness
        if run is None or good.sha256 == bad.sha256:
            return ""
        words = _ends(folder, target, good, bad)
        head = ["lab", "bisect", "--case", run.case_name, "--nic", run.nic]
        return shlex.join([*head, *words, *built]) if words else ""

    return command


def _ends(folder: Path, target: Target, good: KernelRow, bad: KernelRow) -> list[str]:
    if target.series:
        base = ["--base", target.base] if target.base else []
        return [*base, "--series", str(folder / Path(target.series).expanduser())]
    if target.repo:
        old, new = (row.base.rpartition("#")[2] for row in (good, bad))
        repo = str(folder / Path(target.repo).expanduser())
        return ["--repo", repo, "--good", old, "--bad", new] if old and new and old != new else []
    packages = not (good.base or bad.base) and good.name != bad.name
    return ["--packages", f"{good.name}..{bad.name}"] if packages else []


def asked_of(command: str, results: Path) -> Asked:
    """What such a command asks for. Raises BadInput."""
    words = shlex.split(command)[2:]
    given: dict[str, list[str]] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        given.setdefault(option, []).append(value)

    def of(option: str) -> str:
        return "".join(given.get(option, ())[:1])

    kind = kind_of(of("--packages"), of("--repo"), of("--series"), (of("--good"), of("--bad")))
    return Asked(
        kind=kind,
        case=of("--case"),
        nic=of("--nic"),
        good=of("--good"),
        bad=of("--bad"),
        source=of({"packages": "--packages", "commits": "--repo", "patches": "--series"}[kind]),
        base=of("--base"),
        configs=tuple(given.get("--config", ())),
        design=of("--design"),
        results=str(results),
        command=command,
    )


@dataclass(frozen=True)
class Found:
    """What a search came to: a line for the log, and the mail of a culprit, "" where none was found."""

    line: str
    mail: str


def look_for(
    command: str, folder: Path, results: Path, seconds: float, conduct: Conducts, tell: Progress, pairs: int = 0
) -> Found:
    """Search for so long, on so many pairs at once (0 for as many as fit), or go on with the search that lies in this
    folder. Raises BadInput, LabTrouble, KeyboardInterrupt."""
    search = load(folder) if (folder / FILE).is_file() else begun(asked_of(command, results))
    folder.mkdir(parents=True, exist_ok=True)
    search.asked = replace(search.asked, budget=Budget(seconds=search.seconds + seconds), pairs=pairs)
    with held(folder):
        search_on(folder, search, Listener(progress=tell), conduct, tell)
    culprit = search.ended is Outcome.CULPRIT
    line = "; ".join([wording.headline(search), *wording.conclusion(search)])
    return Found(line, mail(search) if culprit else "")
