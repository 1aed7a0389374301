# SPDX-License-Identifier: GPL-2.0-only
"""pytest options, collection and reports for suites/. `lab run` is a face over this; there is no second engine.

`pytest suites/ -n auto --kernel 6.12 --nic e1000e-split` makes a plan in the controlling process, hands its path to the
workers, and each worker keeps one pair open for the runs that can share it. Everything heavy is imported only when a
suite is really run: this plugin is loaded by every pytest in the environment.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.errors import LabError
from lab.host.interrupt import end_in_order
from lab.host.workers import ENOUGH, registered
from lab.plan.matrix import Run
from lab.plan.session import BROUGHT, PLAN_FILE, SessionPlan
from lab.session.events import tell
from lab.session.planned import PLAN, name_suites, say, session_plan, targets_suites
from lab.text.words import printable

if TYPE_CHECKING:
    from lab.archive.reports import Draughtsman, Known
    from lab.pair.keeper import PairKeeper
    from lab.report.model import Session
    from lab.verdict.case import Case

NEXT = pytest.StashKey[Run | None]()
SUMMARY = pytest.StashKey[str]()
DRAWING = pytest.StashKey["Drawing"]()
KEEPER = pytest.StashKey["PairKeeper"]()
OPEN = pytest.StashKey[contextlib.ExitStack]()
"""What a worker has open until its session ends."""
BUNDLE = "lab_bundle"


# -- options -------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab", "kernel lab (suites/ only)")
    group.addoption("--kernel", action="append", default=[], help="kernel to boot: see `lab kernels`; repeatable")
    group.addoption("--nic", action="append", default=[], help="NIC profile: see `lab nics`; repeatable")
    group.addoption("--lab-names", action="append", default=[], help="suite or case to run (default: suite `default`)")
    group.addoption("--repeat", type=int, default=0, help="run each cell that many times")
    group.addoption("--reference", default="", help="kernel that `cost` compares with")
    group.addoption("--family", default="", help="what streams go over, ipv4 or ipv6; default: either in turn")
    group.addoption("--connect", default="embed", help="libvirt URI (default: the embedded driver, no daemon)")
    group.addoption("--accel", default="auto", help="auto, kvm or tcg")
    group.addoption("--cold", action="store_true", help="boot every pair instead of restoring a saved one")
    group.addoption("--results", default="", help="folder for sessions (default: ./results)")
    group.addoption("--lab-tidy", action="store_true", help="end what is left of the plan: its maker may be killed")
    group.addoption("--lab-plan", default="", help="run a plan made before (plan.json) instead of the options above")


# -- xdist: workers under a reaper, grouped by pair ------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto` is the number of pairs that fit."""
    return session_plan(config).pairs if targets_suites(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start each worker under a child subreaper: libvirt waits for QEMU's zombie, and not every pid 1 reaps at once."""
    if not targets_suites(config):
        return
    plan = session_plan(config)
    if len(specs) > plan.pairs:
        del specs[plan.pairs :]
    reaper = shutil.which("tini")
    for spec in specs:
        if reaper is not None and spec.popen and not spec.python:
            spec.python = shlex.join([reaper, "-s", "--", sys.executable])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - xdist classes
    if not targets_suites(config):
        return None
    from lab.session.scheduler import PairScheduling

    return PairScheduling(config, log, {item_name(run): run for run in session_plan(config).runs})


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - an xdist class
    if targets_suites(node.config):
        node.workerinput["lab_plan"] = str(session_plan(node.config).folder / PLAN_FILE)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ANN401 - an xdist class
    """A worker that was killed leaves guests, and xdist gives its runs to another one at once."""
    if error and targets_suites(node.config):
        from lab.provision.sweep import sweep

        for name in sweep(session_plan(node.config).sockets / node.gateway.id):
            say(f"{node.gateway.id} is gone; ended its {name}")


# -- collection ----------------------------------------------------------------------------------------------------


def item_name(run: Run) -> str:
    """The name pytest gives to the item of a run: `pin-vmsplice[6.12.117+deb12-amd64-virtio]`."""
    return f"{run.case}[{run.label}]"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A file that holds cases has an item for each run of them that is planned."""
    if file_path.suffix != ".py" or not targets_suites(parent.config):
        return None
    from lab.experiments.found import case_named

    planned = [case_named(name) for name in dict.fromkeys(run.case for run in session_plan(parent.config).runs)]
    cases = [case for case in planned if Path(case.file).resolve() == file_path.resolve()]
    return CaseFile.of(parent, file_path, cases) if cases else None


class CaseFile(pytest.File):
    """The planned runs of the cases in one file."""

    cases: Sequence[Case]

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path, cases: Sequence[Case]) -> CaseFile:
        made: CaseFile = cls.from_parent(parent, path=path)
        made.cases = cases
        return made

    def collect(self) -> Iterator[pytest.Item]:
        for run in session_plan(self.config).runs:
            for case in self.cases:
                if run.case == case.name:
                    yield RunItem.of(self, run, case)


class NotPredictedError(Exception):
    """A verdict that is not the predicted one; the text has its findings."""


class RunItem(pytest.Item):
    """One planned run; see `lab.trial.trial.Trial`."""

    run: Run
    case: Case

    @classmethod
    def of(cls, parent: CaseFile, run: Run, case: Case) -> RunItem:
        made: RunItem = cls.from_parent(parent, name=item_name(run))
        made.run, made.case = run, case
        made.user_properties.append((BUNDLE, run.id))
        return made

    def setup(self) -> None:
        """A session that has had enough leaves the rest without a bundle."""
        if (session_plan(self.config).sockets / ENOUGH).exists():
            pytest.skip("the session begins no more runs")

    def runtest(self) -> None:
        from lab.trial.trial import Trial

        plan, worker = session_plan(self.config), _worker()

        def progress(what: str) -> None:
            tell(plan, event="stage", worker=worker, run=self.run.id, what=what)

        keeper = _keeper(self.config)
        trial = Trial(self.run, plan, keeper, progress, self.case, following=self.stash.get(NEXT, None))
        keeper.progress = progress
        progress("waiting for a pair")
        try:
            trial.play()
        finally:
            if trial.result is not None:
                tell(plan, event="verdict", worker=worker, run=self.run.id, word=trial.verdict.value)
        if not trial.as_predicted:
            raise NotPredictedError(repr(trial))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """The findings are the failure; where they were found says nothing."""
        if isinstance(excinfo.value, NotPredictedError):
            return printable(str(excinfo.value))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


def _run_of(item: pytest.Item) -> Run | None:
    return item.run if isinstance(item, RunItem) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the runs into the plan's order."""
    if not any(isinstance(item, RunItem) for item in items):
        return
    order = {run.id: n for n, run in enumerate(session_plan(config).runs)}
    items.sort(key=lambda item: order[item.run.id] if isinstance(item, RunItem) else -1)


# -- a worker and its pair -----------------------------------------------------------------------------------------


def _worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "w")


def _keeper(config: pytest.Config) -> PairKeeper:
    """This worker's connection to the hypervisor, and the pair it keeps open until its session ends."""
    if KEEPER not in config.stash:
        from lab.pair.keeper import PairKeeper
        from lab.provision.hypervisor import connect

        plan, worker, open_ = session_plan(config), _worker(), contextlib.ExitStack()
        config.stash[OPEN] = open_
        open_.enter_context(registered(plan.sockets, worker))
        hypervisor = open_.enter_context(connect(plan.connect, plan.sockets / worker))
        keeper = PairKeeper(hypervisor, plan, lambda what: tell(plan, event="stage", worker=worker, what=what))
        open_.callback(keeper.close)
        config.stash[KEEPER] = keeper
    return config.stash[KEEPER]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Which run comes next is known now: its pair can be restored while this one's is at work."""
    item.stash[NEXT] = _run_of(nextitem) if nextitem is not None else None


# -- signals, reports ------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A signal ends the work in order from here on; what was asked for is refused here, once, or planned."""
    name_suites(config)
    if targets_suites(config):
        end_in_order()
        atexit.register(gc.freeze)  # see lab.__main__
        plan = session_plan(config)
        if not hasattr(config, "workerinput"):
            config.stash[DRAWING] = Drawing(plan)
            config.pluginmanager.register(config.stash[DRAWING])


class Drawing:
    """Has each run drawn beside those after it, by the controlling process, which has little else to do."""

    def __init__(self, plan: SessionPlan) -> None:
        self.plan = plan
        self._draughtsman: Draughtsman | None = None

    def pytest_runtest_logstart(self) -> None:
        """The first run begins: there is time now to get ready."""
        if self._draughtsman is None:
            from lab.archive.reports import Draughtsman

            self._draughtsman = Draughtsman(self.plan.folder)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A run that was called has left its bundle, whatever it says."""
        if report.when == "call" and self._draughtsman is not None:
            for run in (str(value) for name, value in report.user_properties if name == BUNDLE):
                self._draughtsman.take(run)

    def finish(self) -> Known | None:
        """Wait for all that was begun."""
        return self._draughtsman.finish() if self._draughtsman is not None else None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """A worker gives up its pair. The controlling process sees its workers off, and writes the reports from disk."""
    config = session.config
    controls = not hasattr(config, "workerinput") and PLAN in config.stash
    if controls and exitstatus == pytest.ExitCode.INTERRUPTED:
        # xdist would give them a few seconds and kill them; they have evidence to keep and guests to end.
        from lab.host.workers import stop

        stop(config.stash[PLAN].sockets)
    try:
        yield
    finally:
        if OPEN in config.stash:
            config.stash[OPEN].close()
    if controls:
        from lab.archive.reports import REPORT, overview_text

        plan = config.stash[PLAN]
        done = _conclude(plan, config.stash[DRAWING].finish())
        shutil.rmtree(plan.folder / BROUGHT, ignore_errors=True)
        if done is not None:
            config.stash[SUMMARY] = f"{overview_text(done)}report: {plan.folder / REPORT}\n"
            if exitstatus == pytest.ExitCode.OK and not done.tried:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED  # to pytest, a test that was skipped is fine


def _conclude(plan: SessionPlan, known: Known | None) -> Session | None:
    """Reports, and what they teach about this host; None when the reports could not be written."""
    from lab.archive.reports import write_reports
    from lab.session.learnt import remember

    try:
        session = write_reports(plan, known)
    except (LabError, OSError) as exc:
        say(f"no reports: {exc}")
        return None
    else:
        try:
            remember(plan, session, say)
        except OSError as exc:
            say(f"nothing learnt: {exc}")
        return session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if SUMMARY in config.stash:
        terminalreporter.section("verdicts")
        terminalreporter.write(config.stash[SUMMARY])
