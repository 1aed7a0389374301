# SPDX-License-Identifier: GPL-2.0-only
"""A request of `lab run` carried out: a plan is prepared, pytest runs it, what happens is shown, and it is tidied up
whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lab.cli.exits import AS_PREDICTED, FOR_BISECT, INTERRUPTED, LAB_FAILED, code_for_bisect, code_of
from lab.cli.options import conducting
from lab.cli.verdicts import listening
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report import Session
    from lab.session.again import Again
    from lab.session.conduct import Conducted, Listener
    from lab.spec.request import SessionRequest


@dataclass(frozen=True)
class Way:
    """What is done with a request: as it was typed, but for the folder of sessions."""

    folder: Path
    hosts: Path | None
    carrier: str
    resume: Path | None
    rerun: bool
    of: str
    dry_run: bool
    as_json: bool
    timing: bool
    bisect: bool

    @property
    def given(self) -> dict[str, bool]:
        """Of its options that `refuse` looks at, whether they were typed."""
        return {
            "--dry-run": self.dry_run,
            "--rerun-failed": self.rerun,
            "--hosts": self.hosts is not None,
            "--resume": self.resume is not None,
            "--of": bool(self.of),
            FOR_BISECT: self.bisect,
        }


BESIDE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "--dry-run": ((), ("--hosts", "--resume")),
    "--rerun-failed": ((), ("--resume",)),
    "--of": (("--rerun-failed",), ()),
    "--resume": (("--hosts",), ("--expect",)),
    FOR_BISECT: ((), ("--expect",)),
}
"""By an option, those that it needs beside it, and those that make no sense there: other hosts are not asked what they
would do, a session that goes on keeps its runs and predictions, and git is told what was measured."""


def refuse(given: Mapping[str, bool]) -> None:
    """Raises BadInput for each option that needs another one, or makes no sense beside one."""
    from lab.errors import BadInput

    problems = [
        text
        for option, (needed, apart) in BESIDE.items()
        if given[option]
        for text in (
            *(f"{option} is for sessions of {other}" for other in needed if not given[other]),
            *(f"{option} makes no sense beside {other}" for other in apart if given[other]),
        )
    ]
    if problems:
        raise BadInput(problems, hint="lab run --help")


def carried_out(request: SessionRequest, way: Way) -> int:
    """The exit status. Raises BadInput, LabTrouble; typer.Exit where nothing is to be run again."""
    refuse(way.given | {"--expect": bool(request.expect)})
    only = None
    if way.rerun:
        found = _again(request, way.folder, way.of)
        request, only = found.request, found.wanted
    if way.dry_run:
        from lab.cli.foreseen import tell_foreseen

        tell_foreseen(request, only, as_json=way.as_json)
        return AS_PREDICTED
    done = _conducted(request, way, only)
    session = done.session()
    status = close(done, session, as_json=way.as_json)
    if way.timing:
        _tell_timing(done.plan, session, as_json=way.as_json)
    if way.bisect and status != INTERRUPTED:
        return code_for_bisect(session.results, lost=len(session.results) < len(done.plan.runs))
    return status


def _again(request: SessionRequest, folder: Path, of: str) -> Again:
    """Raises BadInput; typer.Exit where nothing failed."""
    from lab.cli.find import find, newest_session
    from lab.session.again import again

    session = find(of, folder) if of else newest_session(folder)
    found = again(session, request)
    if found is None:
        say(f"nothing to run again: all of {session.name} is as predicted")
        raise typer.Exit
    return found


def _conducted(request: SessionRequest, way: Way, only: Callable[[Run], bool] | None) -> Conducted:
    """A new session, or one that goes on."""
    with listening(as_json=way.as_json) as listener:
        if way.resume is not None and way.hosts is not None:
            return _resumed(way.resume, way.hosts, way, request, listener)
        return conducting(way.hosts, way.carrier)(request, way.folder, listener, only=only)


def _resumed(resume: Path, hosts: Path, way: Way, request: SessionRequest, listener: Listener) -> Conducted:
    from lab.errors import BadInput
    from lab.fleet import conduct
    from lab.session.conduct import Until

    session = resume if resume.is_dir() else way.folder / resume
    if not session.is_dir():
        raise BadInput([f"--resume {resume}: no such session in {way.folder}"], hint="lab archive list")
    return conduct.resume(session.resolve(), listener, hosts, carrier=way.carrier, until=Until.asked(request))


def _tell_timing(plan: SessionPlan, session: Session, *, as_json: bool) -> None:
    """Waterfalls of a session's runs and the sum; beside JSON on standard error."""
    from lab.plan.pairs import table
    from lab.report.bars import timing
    from lab.session.learnt import load_learnt

    console = Console(stderr=as_json)
    console.print(timing(session))
    known = load_learnt().rates.get(plan.host, {})
    console.print(f"{plan.pairs} at once: {plan.pairs_why}", highlight=False)
    console.print(f"work done a second by pairs at once on {plan.host}: {table(known)}", highlight=False)


def why_untried(session: Session) -> list[str]:
    """Each reason once, where everything was skipped."""
    from lab.report.wording import sentence

    return [] if session.tried else list(dict.fromkeys(sentence(result) for result in session.results))


def close(done: Conducted, session: Session, *, as_json: bool) -> int:
    """The table, the report's path and the exit status."""
    from lab.archive.reports import REPORT
    from lab.report import text

    plan = done.plan
    if not as_json:
        Console().print(text.overview(session))
        for reason in why_untried(session):
            say(f"skipped: {reason}")
        say(f"report: {plan.folder / REPORT}")
    missing = [run.id for run in plan.runs if run.id not in {r.manifest.run for r in session.results}]
    if missing and done.stop:
        say(f"{len(missing)} of {len(plan.runs)} runs were not begun: {done.stop.why}", err=True)
    elif missing:
        say(f"{len(missing)} of {len(plan.runs)} runs left no bundle; what happened: {done.log}", err=True)
    if done.interrupted:
        return INTERRUPTED
    cut = missing and not (done.stop and done.stop.verdict)
    return LAB_FAILED if cut else code_of(session.results)
