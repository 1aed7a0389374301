# SPDX-License-Identifier: GPL-2.0-only
"""A session over many hosts: planned here, done there, judged here again. The same report as of one host."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from lab.archive.fill import fill_one
from lab.contracts import Progress
from lab.errors import BadInput, HostTrouble, LabError, tried
from lab.fleet.artefacts import artefacts_of
from lab.fleet.attempts import FleetFolder, fleet_of
from lab.fleet.batch import is_done
from lab.fleet.carriers import CARRIERS, CARRY, LOGINS, Work, environment, logins
from lab.fleet.inventory import FleetHost, read_inventory
from lab.fleet.late import Late
from lab.fleet.link import linked
from lab.fleet.orders import batches
from lab.host.paths import cache_root
from lab.host.records import write_whole
from lab.host.version import lab_code
from lab.host.workers import ENDING, STOP_LIMIT, at_work
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan, dump
from lab.session.conduct import Conducted, Conducts, Listener, Until, watch
from lab.session.learnt import load_learnt, remember_hosts
from lab.session.start_engine import LOG
from lab.text.words import one_line
from lab.units import Deadline

if TYPE_CHECKING:
    from lab.plan.matrix import Run
    from lab.report.model import RunResult
    from lab.spec.request import SessionRequest

ASKED_AT_ONCE = 32
LOOK = 1.0
"""Seconds from one look at hosts and their list to the next."""
SPARE_TRIES = 2
"""Tries of a batch beyond one on each host."""


@dataclass(frozen=True)
class Answer:
    """What a host said when it was asked, or why it did not."""

    host: FleetHost
    facts: dict[str, Any]
    problem: str = ""

    @property
    def room(self) -> int:
        """How many batches at once: as the list says, else what the host has room for. 0 where it is of no use."""
        told = self.facts.get("pairs")
        fits = told if isinstance(told, int) and told > 0 else 1
        return 0 if self.problem else self.host.pairs or min(fits, 64)


def ask(host: FleetHost) -> Answer:
    """Never raises LabError."""
    try:
        with linked(host) as link:
            facts = link.facts()
    except LabError as exc:
        return Answer(host, {}, exc.message)
    code = str(facts.get("lab_code"))
    if code != lab_code():
        problem = f"its lab is another one, {str(facts.get('lab_version'))[:60]} ({code[:12]}); lab hosts setup"
        return Answer(host, facts, problem)
    clock = facts.get("clock")
    if not isinstance(clock, int | float) or abs(clock - time.time()) > 300:
        return Answer(host, facts, "its clock is wrong")
    return Answer(host, facts)


def ask_all(hosts: Sequence[FleetHost], progress: Progress) -> tuple[Answer, ...]:
    """All of them, many at once."""
    progress(f"asking {len(hosts)} hosts")
    with ThreadPoolExecutor(min(len(hosts), ASKED_AT_ONCE)) as pool:
        return tuple(pool.map(ask, hosts))


def examined(host: FleetHost) -> tuple[list[str], str]:
    """What `lab doctor` says on a host, a line each, and why the lab cannot run there; "" where it can."""
    answer = ask(host)
    if answer.problem:
        return [], answer.problem
    try:
        with linked(host) as link:
            told = link.ask("doctor")
    except LabError as exc:
        return [], exc.message
    lines = [line for line in str(told.get("doctor", "")).splitlines() if line.strip()]
    status = told.get("status")
    return [_check(line) for line in lines[:100]], "" if status == 0 else f"lab doctor ended with {status}"


def _check(line: str) -> str:
    """A check in few words; the line itself where it is none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        told = json.loads(line)
        cure = f" (cure: {told['cure']})" if told["cure"] else ""
        return one_line(f"{told['status']:4} {told['name']}: {told['seen']}{cure}", 400)
    return one_line(line, 400)


@dataclass
class Crew:
    """Runs a plan on other hosts: the engine of such a session (lab.session.start_engine.Runner)."""

    inventory: Path
    answers: tuple[Answer, ...]
    carrier: str
    progress: Progress
    signals: list[int] = field(default_factory=list)
    plan: SessionPlan | None = None
    process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None
    _looked: float = 0.0
    _seen: float = 0.0
    _out: set[str] = field(default_factory=set)
    _some_are_left: bool = True
    _late: Late | None = None
    _again: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def _plan(self) -> SessionPlan:
        assert self.plan is not None  # noqa: S101 - nobody asks before `begin`
        return self.plan

    @property
    def fleet(self) -> FleetFolder:
        return fleet_of(self._plan)

    def begin(self, plan: SessionPlan) -> None:
        """Raises HostTrouble, BadInput."""
        self.plan = plan
        self.fleet.write(tuple(answer.host for answer in self.answers), artefacts_of(plan))
        self._seen = self.inventory.stat().st_mtime
        self._write_logins()
        todo = [n for n, runs in batches(plan).items() if not all(is_done(plan.folder / run.id) for run in runs)]
        self._late = Late(plan, self.fleet, todo, load_learnt())
        tries = len([answer for answer in self.answers if answer.room]) + SPARE_TRIES
        argv = CARRIERS[self.carrier](Work(plan.folder, todo, tries))
        self._log = (plan.folder / LOG).open("ab")
        self.process = self._start(argv)
        if self.signals:
            self.stop(self.signals[-1], None)

    def _start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        out = self._log
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(), start_new_session=True
        )

    def poll(self) -> int | None:
        """Its exit status, None while it runs. Hosts that failed too often are given nothing more; new ones are."""
        assert self.process is not None  # noqa: S101
        status = self.process.poll()
        self._again = [process for process in self._again if process.poll() is None]
        if self._again:
            status = None
        if status is None and time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._look()
        return status

    def stop(self, signum: int, _frame: FrameType | None, /) -> None:
        """A handler: nothing more is begun, and every attempt has its host end what it does and send what there is."""
        self.signals.append(signum)
        if self.process is None or self.plan is None:
            return
        with contextlib.suppress(OSError):
            (self.plan.sockets / ENDING).touch()
        self.process.send_signal(signal.SIGHUP)
        for pid in at_work(self.plan.sockets):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    def end(self) -> None:
        """What is left of the carrier goes; attempts end in order before."""
        left = [p for p in (self.process, *self._again) if p is not None and p.poll() is None]
        if left:
            self.stop(signal.SIGINT, None)
        deadline = Deadline.after("attempts to end", 2 * STOP_LIMIT)
        for process in left:
            try:
                process.wait(max(deadline.remaining, 0.0))
            except subprocess.TimeoutExpired:
                _kill(process)
        if self._log is not None:
            self._log.close()

    def _look(self) -> None:
        out = {answer.host.name for answer in self.answers if self.fleet.is_out(answer.host.name)}
        for name in out - self._out:
            self.progress(f"{name} is struck out: {self.fleet.strikes(name)[-1]}")
        changed, self._out = out != self._out, out
        with contextlib.suppress(OSError):
            seen = self.inventory.stat().st_mtime
            if seen != self._seen:
                self._seen, changed = seen, True
                self._read_again()
        if changed:
            self._some_are_left = self._write_logins()
        if not self._some_are_left and not at_work(self._plan.sockets):
            self.progress("no host is left")
            if self.process is not None:
                _kill(self.process)
        self._begin_again()

    def _begin_again(self) -> None:
        """Near the end, a batch that takes far too long is begun once more, on a host that has room for it."""
        if self.signals or self._late is None or self.carrier == "slurm":  # whose nodes are not ours to begin on
            return
        room = {a.host.name: a.room for a in self.answers if a.room and a.host.name not in self._out}
        for batch, slow, host in self._late.look(room):
            self.progress(f"{batch} takes long on {slow}: it is begun again on {host}")
            self._again.append(self._start([*CARRY, str(self._plan.folder), batch, host]))

    def _read_again(self) -> None:
        """The list has changed: who is new on it is asked, who is gone is given nothing more."""
        try:
            hosts = read_inventory(self.inventory)
        except LabError as exc:
            self.progress(f"the list of hosts is left as it was: {exc.message}")
            return
        known = {answer.host: answer for answer in self.answers}
        new = [host for host in hosts if host not in known]
        asked = {answer.host: answer for answer in (ask_all(new, self.progress) if new else ())}
        self.answers = tuple((known | asked)[host] for host in hosts)
        self.fleet.write_hosts(tuple(answer.host for answer in self.answers))

    def _write_logins(self) -> bool:
        """Whether anybody is on the list of those who are given batches."""
        room = {answer.host.name: answer.room for answer in self.answers if answer.host.name not in self._out}
        told = logins([answer.host for answer in self.answers], room)
        write_whole(self.fleet.root / LOGINS, told)
        return bool(told)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# -- a session -------------------------------------------------------------------------------------------------------


def conducted_by(inventory: Path, carrier: str) -> Conducts:
    """What conducts sessions on the hosts of an inventory. Raises BadInput with what is wrong with either."""
    problems: list[str] = []
    hints: list[str] = []
    tried(problems, lambda: _known(carrier))
    tried(problems, lambda: read_inventory(inventory), hints)
    if problems:
        raise BadInput(problems, hint=next(iter(hints), ""))
    return OnHosts(inventory, carrier)


@dataclass(frozen=True)
class OnHosts:
    """Conducts sessions on the hosts of an inventory, and knows what these have room for (lab.session.room)."""

    inventory: Path
    carrier: str

    def __call__(
        self,
        request: SessionRequest,
        folder: Path,
        listener: Listener,
        *,
        before: Callable[[Progress], None] = lambda _: None,
        only: Callable[[Run], bool] | None = None,
    ) -> Conducted:
        """As `conduct` has it."""
        return conduct(
            request, folder, listener, inventory=self.inventory, carrier=self.carrier, before=before, only=only
        )

    def room(self, progress: Progress) -> int:
        """Of all hosts that can be used. Raises BadInput."""
        return sum(answer.room for answer in ask_all(read_inventory(self.inventory), progress))


def _known(carrier: str) -> None:
    """Raises BadInput."""
    if carrier not in CARRIERS:
        raise BadInput([f"--carrier {carrier!r} is none of {', '.join(CARRIERS)}"])


def conduct(
    request: SessionRequest,
    folder: Path,
    listener: Listener,
    *,
    inventory: Path,
    carrier: str = "parallel",
    before: Callable[[Progress], None] = lambda _: None,
    only: Callable[[Run], bool] | None = None,
) -> Conducted:
    """As lab.session.conduct has it, on the hosts of an inventory. Raises BadInput, LabTrouble, KeyboardInterrupt."""
    from lab.session.prepare import prepare

    def make(sockets: Path, crew: Crew) -> SessionPlan:
        before(listener.progress)
        room = {answer.host.name: answer.room for answer in crew.answers if answer.room}
        plan = prepare(request, folder, sockets, listener.progress, only=only, elsewhere=room)
        try:
            _refuse(plan)
        except BadInput:
            shutil.rmtree(plan.folder)
            raise
        return plan

    return _conducted(make, listener, inventory, carrier, Until.asked(request))


def resume(
    session: Path, listener: Listener, inventory: Path, *, carrier: str = "parallel", until: Until | None = None
) -> Conducted:
    """Have those runs of a session done that have left no bundle: its controller was killed, or interrupted."""
    from lab.archive.reports import RESULTS, stored_plan

    stored = stored_plan(session)

    def make(sockets: Path, _: Crew) -> SessionPlan:
        (session / RESULTS).unlink(missing_ok=True)
        _set_aside(session / EVENTS_FILE)
        plan = replace(stored, folder=session, sockets=sockets)
        write_whole(session / PLAN_FILE, dump(plan, cache_root()))
        for path in fleet_of(plan).root.glob("strikes/*"):
            path.unlink()
        return plan

    return _conducted(make, listener, inventory, carrier, until)


def _set_aside(events: Path) -> None:
    """What was told before is not told again."""
    if events.exists():
        free = (events.with_name(f"{events.stem}-{n}{events.suffix}") for n in itertools.count(1))
        events.rename(next(path for path in free if not path.exists()))


def _conducted(
    make: Callable[[Path, Crew], SessionPlan], listener: Listener, inventory: Path, carrier: str, until: Until | None
) -> Conducted:
    from lab.host.interrupt import end_in_order
    from lab.provision.private import private_folder

    _known(carrier)
    end_in_order()
    hosts = read_inventory(inventory)
    with contextlib.ExitStack() as stack:
        sockets = private_folder(stack.callback)
        answers = ask_all(hosts, listener.progress)
        for answer in answers:
            listener.progress(f"{answer.host.name}: {answer.problem or f'room for {answer.room}'}")
        if not any(answer.room for answer in answers):
            told = "; ".join(f"{answer.host.name}: {answer.problem}" for answer in answers)
            raise HostTrouble(f"no host can be used: {told}", hint="lab hosts doctor")
        crew = Crew(inventory, answers, carrier, listener.progress)
        stack.callback(crew.end)
        plan = make(sockets, crew)
        listener.planned(plan)
        done = watch(plan, crew, filling(listener), until)
        with contextlib.suppress(OSError):
            remember_hosts(plan, done.results, _who_did(plan.folder / EVENTS_FILE), listener.progress)
        return done


def filling(listener: Listener) -> Listener:
    """The same, with each run put into the archive: here once, for to load what that takes is half of an attempt."""

    def verdict(plan: SessionPlan, number: int, result: RunResult) -> None:
        fill_one(plan.folder, result.manifest.run, result)
        listener.verdict(plan, number, result)

    return replace(listener, verdict=verdict)


def _who_did(events: Path) -> dict[str, str]:
    """By run, the host whose bundle counts."""
    told = (json.loads(line) for line in events.read_text().splitlines())
    return {event["run"]: event["worker"] for event in told if event["event"] == "verdict"}


def _refuse(plan: SessionPlan) -> None:
    """Raises BadInput for what cannot be done elsewhere yet."""
    from lab.experiments.found import case_named, experiment_of
    from lab.host.paths import suites_dir

    cases = dict.fromkeys(run.case for run in plan.runs)
    problems = [f"{name}: what it brings does not travel to other hosts" for name in cases if experiment_of(name).more]
    problems += [
        f"{name}: its experiment is not in {suites_dir()}, and other hosts do not know it"
        for name in cases
        if not Path(case_named(name).file).resolve().is_relative_to(suites_dir())
    ]
    if plan.connect != "embed":
        problems.append(f"--connect {plan.connect}: hosts run guests of their own only")
    if problems:
        raise BadInput(problems, hint="run it here, without --hosts")
