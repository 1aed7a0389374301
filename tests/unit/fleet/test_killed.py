# SPDX-License-Identifier: GPL-2.0-only
"""A session by GNU parallel on simulated hosts, whose controller is killed by SIGKILL and resumed, or interrupted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.fleet.answers import Answer
from lab.fleet.arrival import FLEET
from lab.fleet.attempts import AT_WORK, ENDED, GIVEN_UP, FleetFolder
from lab.fleet.batch import is_done
from lab.fleet.crew import Crew
from lab.host.paths import cache_root, project_root
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan, dump
from lab.session.conduct import Listener, watch
from lab.units import Deadline, wait_until
from tests.unit.fleet import simulated
from tests.unit.fleet.made import plan_in

pytestmark = pytest.mark.skipif(
    shutil.which("parallel") is None, reason="GNU parallel is not installed (lab setup --fleet)"
)

LONG = timedelta(seconds=240)
NAMES = ("one", "two")
CONTROLLER = """
import sys
from pathlib import Path
from lab.archive.reports import stored_plan
from lab.session.conduct import Listener, watch
from tests.unit.fleet.test_killed import crew_of

plan = stored_plan(Path(sys.argv[1]))
watch(plan, crew_of(Path(sys.argv[2])), Listener())
"""


def crew_of(folder: Path) -> Crew:
    """Two hosts, with room for a batch each."""
    config = folder / "hosts" / "config.json"
    answers = tuple(Answer(simulated.host(config, name), {"pairs": 1}) for name in NAMES)
    return Crew(folder / "hosts.ini", answers, "parallel", lambda _: None)


@pytest.fixture
def plan(tmp_path: Path) -> SessionPlan:
    """Four batches of a run each, at hosts that stay at theirs until they are told to stop."""
    plan = plan_in(tmp_path / "results" / "s1", sockets=tmp_path / "first")
    plan = replace(plan, runs=tuple(replace(run, batch=n) for n, run in enumerate(plan.runs)))
    (plan.folder / FLEET).mkdir(parents=True)
    plan.sockets.mkdir()
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    (tmp_path / "hosts.ini").write_text("")
    simulated.make(tmp_path / "hosts", plan, 600.0)
    return plan


def quick(tmp_path: Path) -> None:
    """From now on, hosts are."""
    config = tmp_path / "hosts" / "config.json"
    config.write_text(config.read_text().replace('"seconds": 600.0', '"seconds": 0.1'))


@contextlib.contextmanager
def controller(plan: SessionPlan, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": str(project_root()), "SESSION": str(folder)}
    process = subprocess.Popen([sys.executable, "-P", "-c", CONTROLLER, str(plan.folder), str(folder)], env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def left(folder: Path) -> list[bytes]:
    """Arguments of all that the controller has started, and what that has."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(f"SESSION={folder}") in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes())
    return found


def test_a_session_whose_controller_was_killed_is_resumed(plan: SessionPlan, tmp_path: Path) -> None:
    """Nothing outlives it, not even a simulated host; and then all is done, each run once.

    Attempts that were at work end in order, so what their hosts send is there before.
    """
    events = plan.folder / EVENTS_FILE

    def both_are_at_work() -> tuple[bool | None, object]:
        told = events.read_text() if events.exists() else ""
        return (True if told.count("as if guests ran") == len(NAMES) else None), told

    with controller(plan, tmp_path) as process:
        wait_until(both_are_at_work, deadline=Deadline.after("two hosts at work", LONG))
        process.kill()
        wait_until(
            lambda: (None if left(tmp_path) else True, left(tmp_path)), deadline=Deadline.after("their end", LONG)
        )
    fleet = FleetFolder(plan.folder)
    cut_off = {attempt.key for attempt in fleet.all_attempts()}
    assert len(cut_off) == len(NAMES)
    quick(tmp_path)
    plan = replace(plan, sockets=tmp_path / "second")
    plan.sockets.mkdir()
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    events.unlink()
    crew = crew_of(tmp_path)
    try:
        done = watch(plan, crew, Listener())
    finally:
        crew.end()
    assert done.results
    assert all(is_done(plan.folder / run.id) for run in plan.runs)
    told = Counter(attempt.batch for attempt in fleet.all_attempts() if attempt.state == ENDED and not attempt.why)
    assert set(told.values()) == {1}
    assert not [attempt for attempt in fleet.all_attempts() if attempt.state == AT_WORK]


def test_ctrl_c_ends_attempts_in_order_and_begins_no_more(plan: SessionPlan, tmp_path: Path) -> None:
    crew = crew_of(tmp_path)

    def doing(told: str) -> None:
        if told.count("as if guests ran") == len(NAMES) and not crew.signals:
            crew.stop(signal.SIGINT, None)

    try:
        done = watch(plan, crew, Listener(doing=doing))
    finally:
        crew.end()
    assert done.interrupted
    attempts = FleetFolder(plan.folder).all_attempts()
    assert len(attempts) == len(done.results) == len(NAMES)
    assert {attempt.state for attempt in attempts} <= {ENDED, GIVEN_UP}
