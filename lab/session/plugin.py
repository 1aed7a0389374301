# SPDX-License-Identifier: GPL-2.0-only
"""pytest options, fixtures and reports for suites/. `lab run` is a face over this; there is no second engine.

`pytest suites/ -n auto --kernel 6.12 --nic e1000e-split` makes a plan in the controlling process, hands its path to the
workers, and each worker keeps one pair open for the runs that can share it. Everything heavy is imported only when a
suite is really run: this plugin is loaded by every pytest in the environment.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from lab.errors import BadInput, LabError
from lab.host.interrupt import end_in_order
from lab.host.workers import registered
from lab.plan.cases import CASES
from lab.plan.matrix import Run
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan, load
from lab.provision.private import private_folder
from lab.provision.sweep import tidy
from lab.text.words import printable

if TYPE_CHECKING:
    from lab.archive.reports import Draughtsman, Known
    from lab.pair.keeper import PairKeeper
    from lab.report.model import Session
    from lab.trial.trial import Trial

PLAN = pytest.StashKey[SessionPlan]()
NEXT = pytest.StashKey[Run | None]()
SUMMARY = pytest.StashKey[str]()
DRAWING = pytest.StashKey["Drawing"]()
BUNDLE = "lab_bundle"


# -- options -------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lab", "kernel zerocopy lab (suites/ only)")
    group.addoption("--kernel", action="append", default=[], help="kernel to boot: see `lab kernels`; repeatable")
    group.addoption("--nic", action="append", default=[], help="NIC profile: see `lab nics`; repeatable")
    group.addoption("--lab-names", action="append", default=[], help="suite or case to run (default: suite `default`)")
    group.addoption("--repeat", type=int, default=0, help="run each cell that many times")
    group.addoption("--reference", default="", help="kernel that `cost` compares with")
    group.addoption("--connect", default="embed", help="libvirt URI (default: the embedded driver, no daemon)")
    group.addoption("--accel", default="auto", help="auto, kvm or tcg")
    group.addoption("--cold", action="store_true", help="boot every pair instead of restoring a saved one")
    group.addoption("--results", default="", help="folder for sessions (default: ./results)")
    group.addoption("--lab-tidy", action="store_true", help="end what is left of the plan: its maker may be killed")
    group.addoption("--lab-plan", default="", help="run a plan made before (plan.json) instead of the options above")


def _targets_suites(config: pytest.Config) -> bool:
    from lab.host.paths import suites_dir

    roots = [Path(str(arg).split("::")[0]).resolve() for arg in config.args]
    return any(suites_dir() == root or suites_dir() in root.parents for root in roots)


def _request(config: pytest.Config) -> Any:  # noqa: ANN401 - imported late
    from lab.spec.request import SessionRequest

    option = config.option
    wanted = getattr(option, "numprocesses", None)
    return SessionRequest(
        names=tuple(option.lab_names),
        kernels=tuple(option.kernel),
        nics=tuple(option.nic),
        repeat=option.repeat,
        pairs=wanted if isinstance(wanted, int) else 0,
        connect=option.connect,
        accelerator=option.accel,
        reference=option.reference,
        cold=option.cold,
        command=shlex.join(["pytest", *config.invocation_params.args]),
    )


def session_plan(config: pytest.Config) -> SessionPlan:
    """The plan of this pytest run, made at first use; a worker reads the one its controller made."""
    if PLAN not in config.stash:
        workerinput = getattr(config, "workerinput", None)
        given = workerinput["lab_plan"] if workerinput is not None else config.option.lab_plan
        if given:
            config.stash[PLAN] = _given_plan(Path(given))
            if workerinput is None and config.option.lab_tidy:
                config.add_cleanup(functools.partial(tidy, config.stash[PLAN].sockets))
        else:
            config.stash[PLAN] = _make_plan(config)
        if workerinput is None:
            _register(config)
    return config.stash[PLAN]


def _given_plan(path: Path) -> SessionPlan:
    try:
        return load(path.read_bytes())
    except (LabError, OSError) as exc:
        raise pytest.UsageError(f"{path}: {exc}") from exc


def _say(what: str) -> None:
    print(printable(f"lab: {what}"), file=sys.stderr)


def _register(config: pytest.Config) -> None:
    """This process leaves reports: who tidies up before it has, waits for it."""
    at_work = contextlib.ExitStack()
    config.add_cleanup(at_work.close)
    at_work.enter_context(registered(config.stash[PLAN].sockets, "controller"))


def _make_plan(config: pytest.Config) -> SessionPlan:
    from lab.host.paths import results_folder
    from lab.host.size import require_files
    from lab.session.prepare import prepare

    try:
        folder = results_folder(Path(config.option.results) if config.option.results else None)
        require_files()
        sockets = private_folder(config.add_cleanup)
        return prepare(_request(config), folder, sockets, _say)
    except BadInput as exc:
        raise pytest.UsageError(str(exc)) from exc
    except (LabError, OSError) as exc:
        _give_up(str(exc), pytest.ExitCode.INTERNAL_ERROR)
    except KeyboardInterrupt:
        _give_up("interrupted before the first run", pytest.ExitCode.INTERRUPTED)


def _give_up(why: str, status: pytest.ExitCode) -> NoReturn:
    """Before there is a session: pytest itself knows of wrong usage only."""
    print(printable(f"ERROR: {why}"), file=sys.stderr)
    raise SystemExit(status)


# -- xdist: workers under a reaper, grouped by pair ------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto` is the number of pairs that fit."""
    return session_plan(config).pairs if _targets_suites(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start each worker under a child subreaper: libvirt waits for QEMU's zombie, and not every pid 1 reaps at once."""
    if not _targets_suites(config):
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
    if not _targets_suites(config):
        return None
    from lab.session.scheduler import PairScheduling

    return PairScheduling(config, log, {item_name(run): run for run in session_plan(config).runs})


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - an xdist class
    if _targets_suites(node.config):
        node.workerinput["lab_plan"] = str(session_plan(node.config).folder / PLAN_FILE)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ANN401 - an xdist class
    """A worker that was killed leaves guests, and xdist gives its runs to another one at once."""
    if error and _targets_suites(node.config):
        from lab.provision.sweep import sweep

        for name in sweep(session_plan(node.config).sockets / node.gateway.id):
            _say(f"{node.gateway.id} is gone; ended its {name}")


# -- collection ----------------------------------------------------------------------------------------------------


def case_of(function_name: str) -> str:
    """`test_pin_vmsplice` is the script of case `pin-vmsplice`."""
    return function_name.removeprefix("test_").replace("_", "-")


def item_name(run: Run) -> str:
    """The name pytest gives to the item of a run: `test_pin_vmsplice[6.12.117+deb12-amd64-virtio]`."""
    return f"test_{run.case.replace('-', '_')}[{run.label}]"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trial" not in metafunc.fixturenames:
        return
    case = case_of(metafunc.function.__name__)
    if case not in CASES:
        raise pytest.UsageError(f"{metafunc.function.__name__}: there is no case {case!r} in lab/plan/cases.py")
    runs = [run for run in session_plan(metafunc.config).runs if run.case == case]
    params = [pytest.param(r, id=r.label) for r in runs]
    metafunc.parametrize("trial", params or [pytest.param(None, id="not-planned")], indirect=True)


def _run_of(item: pytest.Item) -> Run | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("trial") if callspec else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the scripts of cases that are not planned, and put the rest into the plan's order."""
    lab = [item for item in items if "trial" in getattr(item, "fixturenames", ())]
    if not lab:
        return
    unplanned = [item for item in lab if _run_of(item) is None]
    if unplanned:
        config.hook.pytest_deselected(items=unplanned)
    order = {run.id: n for n, run in enumerate(session_plan(config).runs)}
    planned = [(order[run.id], item) for item in lab if (run := _run_of(item)) is not None]
    others = [item for item in items if item not in lab]
    items[:] = others + [item for _, item in sorted(planned, key=lambda pair: pair[0])]


# -- fixtures ------------------------------------------------------------------------------------------------------


def _tell(plan: SessionPlan, **event: object) -> None:
    """Append one line to the session's events; `lab run` shows them as they come."""
    with contextlib.suppress(OSError), (plan.folder / EVENTS_FILE).open("a") as f:
        f.write(json.dumps({"t": time.time(), **event}) + "\n")


@pytest.fixture(scope="session")
def lab_plan(pytestconfig: pytest.Config) -> SessionPlan:
    """The plan of this session."""
    return session_plan(pytestconfig)


@pytest.fixture(scope="session")
def lab_keeper(lab_plan: SessionPlan) -> Iterator[PairKeeper]:
    """This worker's connection to the hypervisor, and the pair it keeps open."""
    from lab.pair.keeper import PairKeeper
    from lab.provision.hypervisor import connect

    worker = os.environ.get("PYTEST_XDIST_WORKER", "w")
    with registered(lab_plan.sockets, worker), connect(lab_plan.connect, lab_plan.sockets / worker) as hypervisor:
        keeper = PairKeeper(hypervisor, lab_plan, lambda what: _tell(lab_plan, event="stage", worker=worker, what=what))
        try:
            yield keeper
        finally:
            keeper.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Which run comes next is known now: its pair can be restored while this one's is at work."""
    item.stash[NEXT] = _run_of(nextitem) if nextitem is not None else None


@pytest.fixture
def trial(request: pytest.FixtureRequest, lab_plan: SessionPlan, lab_keeper: PairKeeper) -> Iterator[Trial]:
    """One planned run; see `lab.trial.trial.Trial`."""
    from lab.trial.trial import Trial

    run: Run = request.param
    worker = os.environ.get("PYTEST_XDIST_WORKER", "w")

    def progress(what: str) -> None:
        _tell(lab_plan, event="stage", worker=worker, run=run.id, what=what)

    subject = Trial(run, lab_plan, lab_keeper, progress, following=request.node.stash.get(NEXT, None))
    lab_keeper.progress = progress
    request.node.user_properties.append((BUNDLE, run.id))
    progress("waiting for a pair")
    try:
        yield subject
    finally:
        if subject.result is not None:
            _tell(lab_plan, event="verdict", worker=worker, run=run.id, word=subject.verdict.value)


# -- signals, reports ------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A signal ends the work in order from here on; what was asked for is refused here, once, or planned."""
    if _targets_suites(config):
        end_in_order()
        atexit.register(gc.freeze)  # see lab.start
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
    """The controlling process sees its workers off, and writes the reports from the bundles on disk."""
    config = session.config
    controls = not hasattr(config, "workerinput") and PLAN in config.stash
    if controls and exitstatus == pytest.ExitCode.INTERRUPTED:
        # xdist would give them a few seconds and kill them; they have evidence to keep and guests to end.
        from lab.host.workers import stop

        stop(config.stash[PLAN].sockets)
    yield
    if controls:
        from lab.archive.reports import REPORT, overview_text

        plan = config.stash[PLAN]
        done = _conclude(plan, config.stash[DRAWING].finish())
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
        _say(f"no reports: {exc}")
        return None
    else:
        try:
            remember(plan, session, _say)
        except OSError as exc:
            _say(f"nothing learnt: {exc}")
        return session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if SUMMARY in config.stash:
        terminalreporter.section("verdicts")
        terminalreporter.write(config.stash[SUMMARY])
