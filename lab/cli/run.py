"""`lab run`: prepares a plan, has pytest run it, shows what happens, and tidies up whatever happens."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.engine import LOG, Engine, handing_on, started
from lab.cli.exits import INTERRUPTED, LAB_FAILED, code_of
from lab.cli.options import Cold, ResultsFolder
from lab.cli.progress import shown
from lab.terminal import Console, say
from lab.units import Deadline, wait_until

if TYPE_CHECKING:
    from lab.contracts import Progress
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report import RunResult, Session
    from lab.spec.request import SessionRequest

FOR_EVER = timedelta(days=7)


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Suites or cases; default: the suite `default`.", autocompletion=complete.suites_and_cases),
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
        str, typer.Option("-n", "--pairs", help="Pairs at once: a number, or auto for what gets most done here.")
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
    accel: Annotated[str, typer.Option("--accel", help="auto, kvm or tcg; auto proves KVM by booting.")] = "auto",
    cold: Cold = False,
    results: ResultsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per run on standard output.")] = False,
    timing: Annotated[bool, typer.Option("--timing", help="Show where the time of each run went.")] = False,
) -> None:
    """Run suites or cases on pairs of guests, and judge them."""
    from lab.spec.request import SessionRequest

    request = SessionRequest(
        names=tuple(names or ()),
        suites=tuple(suite or ()),
        kernels=tuple(kernel or ()),
        nics=tuple(nic or ()),
        repeat=repeat,
        pairs=pairs_of(pairs),
        connect=connect,
        accelerator=accel,
        reference=reference,
        cold=cold,
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    plan, watched = conducted(request, results, as_json=as_json)
    session = watched.session(plan)
    status = _close(plan, session, watched, as_json=as_json)
    if timing:
        _tell_timing(plan, session, as_json=as_json)
    raise typer.Exit(status)


def conducted(
    request: SessionRequest,
    results: Path | None,
    *,
    as_json: bool = False,
    before: Callable[[Progress], None] = lambda _: None,
    only: Callable[[Run], bool] = lambda _: True,
) -> tuple[SessionPlan, Watched]:
    """Plan what was asked for, `before` that what must be there, and have an engine run it, telling each verdict.

    The session's private folder goes with it, whatever happens. Raises as `prepare` and `watch` do.
    """
    from lab.interrupt import end_in_order
    from lab.paths import results_folder
    from lab.provision.hostsize import require_files
    from lab.provision.private import private_folder

    folder = results_folder(results)
    require_files()
    end_in_order()  # a SIGTERM before the first worker, or after the last, must tidy up as well
    with contextlib.ExitStack() as stack:
        sockets = private_folder(stack.callback)
        engine = stack.enter_context(started())  # its end is waited for before the folder goes
        from lab.session import prepare  # half a second of imports, beside those of the engine

        with shown() as progress:
            before(progress)
            plan = prepare(request, folder, sockets, progress, only=only)
        return plan, watch(plan, engine, as_json=as_json)


def _tell_timing(plan: SessionPlan, session: Session, *, as_json: bool) -> None:
    """Waterfalls of a session's runs and the sum; beside JSON on standard error."""
    from lab.learnt import load_learnt
    from lab.plan.pairs import table
    from lab.report.bars import timing

    console = Console(stderr=as_json)
    console.print(timing(session))
    known = load_learnt().rates.get(plan.host, {})
    console.print(f"{plan.pairs} at once: {plan.pairs_why}", highlight=False)
    console.print(f"work done a second by pairs at once on {plan.host}: {table(known)}", highlight=False)


def pairs_of(text: str) -> int:
    """0 for auto, -1 for what is neither that nor a positive number; `lab.session.combine` reports it with the rest."""
    if text == "auto":
        return 0
    return int(text) if text.isdigit() and int(text) else -1


@dataclass
class Show:
    """What the user sees while pytest works: a line for each verdict, and what every worker is doing."""

    plan: SessionPlan
    as_json: bool
    console: Console
    seen: int = 0
    results: dict[str, RunResult] = field(default_factory=dict)
    doing: dict[str, str] = field(default_factory=dict)

    def catch_up(self) -> list[str]:
        """Take the events written since the last call; returns the ids of runs that have a verdict now."""
        from lab.collect.stream import Mark, since
        from lab.plan.session import EVENTS_FILE

        told = since(Mark(self.plan.folder / EVENTS_FILE, self.seen))
        fresh = [json.loads(line) for line in told.splitlines()]
        self.seen += len(told)
        for event in fresh:
            self.doing[event["worker"]] = f"{event.get('run', '')} {event.get('what', '')}".strip()
        return [event["run"] for event in fresh if event["event"] == "verdict"]

    def tell(self, run_id: str) -> None:
        """One line for a finished run."""
        from lab.report.jsonl import as_record
        from lab.reports import told

        result = self.results[run_id] = told(self.plan.folder / run_id, run_id)
        record = as_record(result, PurePosixPath(self.plan.folder.as_posix()))
        if self.as_json:
            say(json.dumps(record, allow_nan=False))
            return
        seconds = sum(record["seconds"].values())
        mark = "" if not result.disagrees else f"  ! predicted {result.instead_of}"
        self.console.print(
            f"[{len(self.results)}/{len(self.plan.runs)}] {record['verdict']:5} {record['case']:13} {record['nic']:13} "
            f"{record['kernel']}  {seconds:.0f} s{mark}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def status(self) -> str:
        return " | ".join(text for _, text in sorted(self.doing.items())) or "starting workers"


@dataclass(frozen=True)
class Watched:
    """How the engine ended: whether by a signal, its log, and the results of runs whose verdicts were told."""

    interrupted: bool
    log: Path
    results: Mapping[str, RunResult]

    def session(self, plan: SessionPlan) -> Session:
        """The session as it is on disk, with its reports: an engine that came to a bad end did not write them."""
        from lab.reports import RESULTS, Known, session_of, write_reports

        there = (plan.folder / RESULTS).exists()  # the last that is written
        return session_of(plan, self.results) if there else write_reports(plan, Known(self.results))


def watch(plan: SessionPlan, engine: Engine, *, as_json: bool) -> Watched:
    """Have an engine run a plan to its end, telling each verdict. Raises HostTrouble.

    Workers may outlive an engine that was killed: they are waited for, so that what they leave is reported.
    """
    from lab.provision.sweep import TIDY_LIMIT
    from lab.workers import at_work, stop

    show = Show(plan, as_json, Console(stderr=True))
    with handing_on(engine), shown() as progress:
        engine.begin(plan)

        def step() -> tuple[int | None, object]:
            for run_id in show.catch_up():
                show.tell(run_id)
            if show.console.is_terminal:
                progress(show.status())
            return engine.process.poll(), show.status()

        wait_until(step, deadline=Deadline.after("the runs", FOR_EVER), pause=timedelta(milliseconds=50))
        if at_work(plan.sockets):
            progress("the engine is gone: waiting for its workers to put their evidence away")
            stop(plan.sockets, TIDY_LIMIT)
        step()
    return Watched(bool(engine.signals), plan.folder / LOG, show.results)


def why_untried(session: Session) -> list[str]:
    """Each reason once, where everything was skipped."""
    from lab.report.wording import sentence

    return [] if session.tried else list(dict.fromkeys(sentence(result) for result in session.results))


def _close(plan: SessionPlan, session: Session, watched: Watched, *, as_json: bool) -> int:
    """The table, the report's path and the exit status."""
    from lab.report import text
    from lab.reports import REPORT

    if not as_json:
        Console().print(text.overview(session))
        for reason in why_untried(session):
            say(f"skipped: {reason}")
        say(f"report: {plan.folder / REPORT}")
    missing = [run.id for run in plan.runs if run.id not in {r.manifest.run for r in session.results}]
    if missing:
        say(f"{len(missing)} of {len(plan.runs)} runs left no bundle; what happened: {watched.log}", err=True)
    if watched.interrupted:
        return INTERRUPTED
    return LAB_FAILED if missing else code_of(session.results)
