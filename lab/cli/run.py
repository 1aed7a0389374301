# SPDX-License-Identifier: GPL-2.0-only
"""`lab run`: prepares a plan, has pytest run it, shows what happens, and tidies up whatever happens."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import FOR_BISECT, INTERRUPTED, LAB_FAILED, code_for_bisect, code_of
from lab.cli.options import Carrier, Cold, Hosts, Known, ResultsFolder, conducting, pairs_of
from lab.cli.verdicts import listening
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.plan.session import SessionPlan
    from lab.report import Session
    from lab.session.again import Again
    from lab.session.conduct import Conducted, Listener
    from lab.spec.request import SessionRequest


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Suites, cases, FOLDER, FOLDER:CASE; default: `default`.",
            autocompletion=complete.suites_and_cases,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", help="Suite to run, the same as its name alone; repeatable.", autocompletion=complete.suites
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option("--kernel", "-k", help="Kernel to boot; repeatable.", autocompletion=complete.kernels),
    ] = None,
    nic: Annotated[
        list[str] | None, typer.Option("--nic", help="NIC profile; repeatable.", autocompletion=complete.nics)
    ] = None,
    pairs: Annotated[
        str, typer.Option("-n", "--pairs", help="Pairs at once: a number, or auto for what is fastest here.")
    ] = "auto",
    repeat: Annotated[int, typer.Option("--repeat", help="Run each cell that many times.")] = 0,
    connect: Annotated[
        str, typer.Option("--connect", help="libvirt URI; `embed` needs no daemon.", autocompletion=complete.uris)
    ] = "embed",
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            help="Kernel that `cost` compares with; by default the same without its design.",
            autocompletion=complete.kernels,
        ),
    ] = "",
    family: Annotated[
        str,
        typer.Option(
            "--family",
            help="What streams go over, ipv4 or ipv6; default: either in turn.",
            autocompletion=complete.families,
        ),
    ] = "",
    accel: Annotated[
        str,
        typer.Option(
            "--accel", help="auto, kvm or tcg; auto proves KVM by booting.", autocompletion=complete.accelerators
        ),
    ] = "auto",
    cold: Cold = False,
    results: ResultsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per run on standard output.")] = False,
    known: Known = None,
    timing: Annotated[bool, typer.Option("--timing", help="Show where the time of each run went.")] = False,
    hosts: Hosts = None,
    carrier: Carrier = "parallel",
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", help="With --hosts: do what is missing of a session that was cut off.", metavar="SESSION"
        ),
    ] = None,
    first: Annotated[
        bool,
        typer.Option(
            "-x",
            "--exitfirst",
            help="Begin no run after the first FAIL, ERROR or MISS that is not as predicted. What has begun ends.",
        ),
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="Begin no run after so long: 90s, 30min, 2h. What has begun ends; what was not run makes it exit 3.",
        ),
    ] = "",
    expect: Annotated[
        str,
        typer.Option(
            "--expect",
            metavar="WORD",
            help="Expect PASS, FAIL, ERROR or DONE of every run: exit code and reports go by it, not by predictions.",
            autocompletion=complete.expected,
        ),
    ] = "",
    rerun: Annotated[
        bool,
        typer.Option(
            "--rerun-failed",
            help="What was not as predicted in the newest session, or not run; with --kernel, on that kernel.",
        ),
    ] = False,
    of: Annotated[
        str,
        typer.Option(
            "--of", metavar="SESSION", help="With --rerun-failed: of this session.", autocompletion=complete.sessions
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be run here, on how many pairs and how long. Fetches, builds, boots, writes nothing.",
        ),
    ] = False,
    bisect: Annotated[
        bool, typer.Option(FOR_BISECT, help="Exit as git bisect run expects: 1 a FAIL, 125 nothing is known.")
    ] = False,
) -> None:
    """Run suites or cases on pairs of guests, and judge them.

    [cyan]lab run ~/my-suite:my-case[/cyan] runs a case of an experiment that lies elsewhere.
    """
    from lab.archive.known import use_known
    from lab.host.paths import results_folder
    from lab.session.suites import with_folders
    from lab.spec.request import SessionRequest

    use_known(known)
    request = SessionRequest(
        names=with_folders(names or ()),
        suites=tuple(suite or ()),
        kernels=tuple(kernel or ()),
        nics=tuple(nic or ()),
        repeat=repeat,
        pairs=pairs_of(pairs),
        connect=connect,
        accelerator=accel,
        reference=reference,
        family=family,
        cold=cold,
        expect=expect.upper(),
        first=first,
        seconds=_seconds(timeout),
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    folder = results_folder(results)
    refuse(
        {"--dry-run": dry_run, "--rerun-failed": rerun, "--hosts": hosts is not None, "--resume": resume is not None}
        | {"--of": bool(of), "--expect": bool(expect), "--for-bisect": bisect}
    )
    only = None
    if rerun:
        found = _again(request, folder, of)
        request, only = found.request, found.wanted
    if dry_run:
        from lab.cli.foreseen import tell_foreseen

        tell_foreseen(request, only, as_json=as_json)
        return
    with listening(as_json=as_json) as listener:
        if resume is not None and hosts is not None:
            done = _resumed(resume, request, folder, listener, hosts, carrier)
        else:
            done = conducting(hosts, carrier)(request, folder, listener, only=only)
    session = done.session()
    status = _close(done, session, as_json=as_json)
    if timing:
        _tell_timing(done.plan, session, as_json=as_json)
    if bisect and status != INTERRUPTED:
        status = code_for_bisect(session.results, lost=len(session.results) < len(done.plan.runs))
    raise typer.Exit(status)


BESIDE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "--dry-run": ((), ("--hosts", "--resume")),
    "--rerun-failed": ((), ("--resume",)),
    "--of": (("--rerun-failed",), ()),
    "--resume": (("--hosts",), ("--expect",)),
    "--for-bisect": ((), ("--expect",)),
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


def _seconds(timeout: str) -> float:
    from lab.errors import BadInput
    from lab.units import seconds_of

    seconds = seconds_of(timeout) if timeout else 0.0
    if seconds is None or (timeout and not seconds):
        raise BadInput([f"--timeout {timeout!r}: write 90s, 30min or 2h"])
    return seconds


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


def _resumed(
    resume: Path, request: SessionRequest, folder: Path, listener: Listener, hosts: Path, carrier: str
) -> Conducted:
    from lab.errors import BadInput
    from lab.fleet import crew
    from lab.session.conduct import Until

    session = resume if resume.is_dir() else folder / resume
    if not session.is_dir():
        raise BadInput([f"--resume {resume}: no such session in {folder}"], hint="lab archive list")
    return crew.resume(session.resolve(), listener, hosts, carrier=carrier, until=Until.asked(request))


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


def _close(done: Conducted, session: Session, *, as_json: bool) -> int:
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
