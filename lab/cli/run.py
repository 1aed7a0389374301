# SPDX-License-Identifier: GPL-2.0-only
"""`lab run`: prepares a plan, has pytest run it, shows what happens, and tidies up whatever happens."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import FOR_BISECT, INTERRUPTED, LAB_FAILED, code_for_bisect, code_of
from lab.cli.options import Carrier, Cold, Hosts, Known, ResultsFolder, conducting
from lab.cli.progress import shown
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.plan.session import SessionPlan
    from lab.report import RunResult, Session
    from lab.session.conduct import Conducted, Listener


Verdict = Callable[["SessionPlan", int, "RunResult"], None]
"""Is told that a run has its verdict."""


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
        typer.Option("--suite", help="Suite to run, the same as its name alone; repeatable."),
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
    connect: Annotated[str, typer.Option("--connect", help="libvirt URI; `embed` needs no daemon.")] = "embed",
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            help="Kernel that `cost` compares with; by default the same without its design.",
            autocompletion=complete.kernels,
        ),
    ] = "",
    family: Annotated[
        str, typer.Option("--family", help="What streams go over, ipv4 or ipv6; default: either in turn.")
    ] = "",
    accel: Annotated[str, typer.Option("--accel", help="auto, kvm or tcg; auto proves KVM by booting.")] = "auto",
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
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    with listening(as_json=as_json) as listener:
        if resume is None:
            done = conducting(hosts, carrier)(request, results_folder(results), listener)
        else:
            done = _resumed(resume, results_folder(results), listener, hosts, carrier)
    session = done.session()
    status = _close(done, session, as_json=as_json)
    if timing:
        _tell_timing(done.plan, session, as_json=as_json)
    if bisect and status != INTERRUPTED:
        status = code_for_bisect(session.results, lost=len(session.results) < len(done.plan.runs))
    raise typer.Exit(status)


def _resumed(resume: Path, folder: Path, listener: Listener, hosts: Path | None, carrier: str) -> Conducted:
    from lab.errors import BadInput
    from lab.fleet import crew

    if hosts is None:
        raise BadInput(["--resume is for sessions of --hosts"], hint="--hosts INVENTORY as well")
    session = resume if resume.is_dir() else folder / resume
    if not session.is_dir():
        raise BadInput([f"--resume {resume}: no such session in {folder}"], hint="lab archive list")
    return crew.resume(session.resolve(), listener, hosts, carrier=carrier)


@contextlib.contextmanager
def listening(*, as_json: bool = False, told: Verdict | None = None) -> Iterator[Listener]:
    """What the user sees of a session: a line for each verdict (or what `told` makes of it), what is to be noted
    before, and, on a terminal, what every worker is doing."""
    from lab.cli.guests import say_accelerator
    from lab.session.conduct import Listener

    console = Console(stderr=True)

    def tell(plan: SessionPlan, number: int, result: RunResult) -> None:
        print_verdict(console, plan, number, result, as_json=as_json)

    def planned(plan: SessionPlan) -> None:
        say_accelerator(plan.accelerator, plan.accelerator_why)
        for note in plan.notes:
            say(note, err=True)

    with shown() as progress:
        yield Listener(progress, planned, progress if console.is_terminal else lambda _: None, told or tell)


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


def pairs_of(text: str) -> int:
    """0 for auto, -1 for what is neither that nor a positive number: `combine` reports it with the rest."""
    if text == "auto":
        return 0
    return int(text) if text.isdigit() and int(text) else -1


def print_verdict(console: Console, plan: SessionPlan, number: int, result: RunResult, *, as_json: bool) -> None:
    """One line for a finished run."""
    from lab.report.jsonl import as_record

    record = as_record(result, PurePosixPath(plan.folder.as_posix()))
    if as_json:
        say(json.dumps(record, allow_nan=False))
        return
    seconds = sum(record["seconds"].values())
    mark = "" if not result.disagrees else f"  ! predicted {result.instead_of}"
    console.print(
        f"[{number}/{len(plan.runs)}] {record['verdict']:5} {record['case']:13} {record['nic']:13} "
        f"{record['kernel']}  {seconds:.0f} s{mark}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


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
    if missing:
        say(f"{len(missing)} of {len(plan.runs)} runs left no bundle; what happened: {done.log}", err=True)
    if done.interrupted:
        return INTERRUPTED
    return LAB_FAILED if missing else code_of(session.results)
