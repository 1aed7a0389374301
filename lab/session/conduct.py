# SPDX-License-Identifier: GPL-2.0-only
"""A session from its request to its results, without a terminal: what a command, a campaign or a batch calls.

`conduct` takes a request, the folder for results and a Listener; what it returns has the session and its reports.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lab.session.start_engine import LOG, handing_on, started
from lab.units import Deadline, wait_until

if TYPE_CHECKING:
    from lab.contracts import Progress
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report.model import RunResult, Session
    from lab.session.start_engine import Runner
    from lab.spec.request import SessionRequest

FOR_EVER = timedelta(days=7)


def _nobody(*_: object) -> None:
    """Does not listen."""


@dataclass(frozen=True)
class Listener:
    """Who wants to know how a session goes; all of it is optional.

    progress  told, step by step, what long work before and after the runs is doing
    planned   given the plan, when there is one
    doing     told, many times a second, what every worker is at
    verdict   told each run that has its verdict, and the how many-th it is
    """

    progress: Progress = _nobody
    planned: Callable[[SessionPlan], None] = _nobody
    doing: Progress = _nobody
    verdict: Callable[[SessionPlan, int, RunResult], None] = _nobody


@dataclass(frozen=True)
class Stop:
    """Why a session began no more runs, and whether that was for a verdict."""

    why: str
    verdict: bool = False


@dataclass(frozen=True)
class Until:
    """When a session begins no more runs: after a verdict that is worse than expected, or at a deadline."""

    first: bool = False
    deadline: Deadline | None = None

    @classmethod
    def asked(cls, request: SessionRequest) -> Until:
        """Time runs from now."""
        limit = timedelta(seconds=request.seconds)
        return cls(request.first, Deadline.after("the session", limit) if limit else None)

    def reached(self, results: Iterable[RunResult]) -> Stop | None:
        from lab.verdict.model import Word

        worse = (r for r in results if r.disagrees and r.verdict.word in (Word.FAIL, Word.ERROR, Word.MISS))
        if self.first and (one := next(worse, None)):
            return Stop(f"{one.manifest.run} is {one.verdict.word}, predicted {one.instead_of}", verdict=True)
        if self.deadline is not None and self.deadline.expired:
            return Stop(f"{self.deadline.limit.total_seconds():g} s are over")
        return None


@dataclass(frozen=True)
class Conducted:
    """A session that is over: whether a signal ended it, and the results of runs whose verdict was told.

    stop  why runs were not begun, where there are any and it was no signal
    """

    plan: SessionPlan
    interrupted: bool
    results: Mapping[str, RunResult]
    stop: Stop | None = None

    @property
    def log(self) -> Path:
        return self.plan.folder / LOG

    def session(self) -> Session:
        """The session as it is on disk, with its reports: an engine that came to a bad end did not write them."""
        from lab.archive.reports import RESULTS, Known, session_of, write_reports

        there = (self.plan.folder / RESULTS).exists()  # the last that is written
        return session_of(self.plan, self.results) if there else write_reports(self.plan, Known(self.results))


class Conducts(Protocol):
    """What has a session done: `conduct` on this host, `lab.fleet.conduct.conducted_by` on those of a list."""

    def __call__(
        self,
        request: SessionRequest,
        folder: Path,
        listener: Listener,
        *,
        before: Callable[[Progress], None] = ...,
        only: Callable[[Run], bool] | None = ...,
    ) -> Conducted: ...


def conduct(
    request: SessionRequest,
    folder: Path,
    listener: Listener,
    *,
    before: Callable[[Progress], None] = _nobody,
    only: Callable[[Run], bool] | None = None,
) -> Conducted:
    """Plan what was asked for (cells that `only` wants), `before` that make what must be there, and have it run.

    The session's private folder goes with it, whatever happens. Raises BadInput and LabTrouble as `prepare` does,
    HostTrouble when the engine cannot be had, KeyboardInterrupt before it runs; after that a signal ends the runs.
    """
    from lab.host.interrupt import end_in_order
    from lab.host.size import require_files
    from lab.provision.private import private_folder

    until = Until.asked(request)
    require_files()
    end_in_order()  # a SIGTERM before the first worker, or after the last, must tidy up as well
    with contextlib.ExitStack() as stack:
        sockets = private_folder(stack.callback)
        engine = stack.enter_context(started())  # its end is waited for before the folder goes
        from lab.session.prepare import prepare  # half a second of imports, beside those of the engine

        before(listener.progress)
        plan = prepare(request, folder, sockets, listener.progress, only=only)
        listener.planned(plan)
        return watch(plan, engine, listener, until)


def watch(plan: SessionPlan, engine: Runner, listener: Listener, until: Until | None = None) -> Conducted:
    """Have an engine run a plan to its end, or `until` no more runs begin, telling each verdict. Raises HostTrouble.

    Workers may outlive an engine that was killed: they are waited for, so that what they leave is reported.
    """
    from lab.host import workers
    from lab.provision.sweep import TIDY_LIMIT

    news = News(plan, listener)
    stop: Stop | None = None
    with handing_on(engine):
        engine.begin(plan)

        def step() -> tuple[int | None, object]:
            nonlocal stop
            news.catch_up()
            if until and not stop and (stop := until.reached(news.results.values())):
                with contextlib.suppress(FileNotFoundError):  # the engine has ended, and its folder is gone
                    (plan.sockets / workers.ENOUGH).touch()
            listener.doing(news.status())
            return engine.poll(), news.status()

        wait_until(step, deadline=Deadline.after("the runs", FOR_EVER), pause=timedelta(milliseconds=50))
        if workers.at_work(plan.sockets):
            listener.progress("the engine is gone: waiting for its workers to put their evidence away")
            workers.stop(plan.sockets, TIDY_LIMIT)
        news.catch_up()
    begun_all = len(news.results) == len(plan.runs)
    return Conducted(plan, bool(engine.signals), news.results, None if begun_all else stop)


@dataclass
class News:
    """What the workers write of their runs: verdicts are read back and told, and what each worker is doing is kept."""

    plan: SessionPlan
    listener: Listener
    results: dict[str, RunResult] = field(default_factory=dict)
    _seen: int = 0
    _doing: dict[str, str] = field(default_factory=dict)

    def catch_up(self) -> None:
        """Take the events written since the last call."""
        from lab.collect.stream import Mark, since
        from lab.plan.session import EVENTS_FILE

        told = since(Mark(self.plan.folder / EVENTS_FILE, self._seen))
        self._seen += len(told)
        for event in map(json.loads, told.splitlines()):
            self._doing[event["worker"]] = f"{event.get('run', '')} {event.get('what', '')}".strip()
            if event["event"] == "verdict":
                self._tell(event["run"])

    def _tell(self, run_id: str) -> None:
        from lab.archive.reports import told

        result = self.results[run_id] = told(self.plan.folder / run_id, run_id)
        self.listener.verdict(self.plan, len(self.results), result)

    def status(self) -> str:
        return " | ".join(text for _, text in sorted(self._doing.items())) or "starting workers"
