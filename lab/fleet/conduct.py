# SPDX-License-Identifier: GPL-2.0-only
"""A session over many hosts: planned here, done there, judged here again. The same report as of one host."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.archive.fill import fill_one
from lab.contracts import Progress
from lab.errors import BadInput, HostTrouble, tried
from lab.fleet.answers import ask_all
from lab.fleet.attempts import fleet_of
from lab.fleet.carriers import CARRIERS
from lab.fleet.crew import Crew
from lab.fleet.inventory import read_inventory
from lab.host.paths import cache_root
from lab.host.records import write_whole
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan, dump
from lab.session.conduct import Conducted, Conducts, Listener, Until, watch
from lab.session.learnt import remember_hosts

if TYPE_CHECKING:
    from lab.plan.matrix import Run
    from lab.report.model import RunResult
    from lab.spec.request import SessionRequest


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
