# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C and SIGTERM at any moment: the evidence so far is kept, and nothing is left running."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lab.host.paths import cache_root
from lab.host.workers import at_work, living
from lab.plan.session import PLAN_FILE, SessionPlan, load
from lab.units import Deadline, wait_until
from tests.vm.sessions import LONG, Json, Session, pytest_argv, qemus, running

MOMENTS = {
    "booting": "booting",
    "restoring": "restoring",
    "traffic": "delivered",
    "collecting": "checkpoint end",
}
COLD = ("booting",)
SUBJECT = ("-n", "1", "--nic", "loopback", "--kernel", "6.12")


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Where the session makes its private directory; short, because it holds sockets."""
    made = Path(tempfile.mkdtemp(prefix="lv-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def started(session: Session, results: Path) -> SessionPlan:
    """The plan that the session made for itself."""

    def written() -> tuple[Path | None, object]:
        assert session.process.poll() is None, session.text
        return next(results.glob(f"*/{PLAN_FILE}"), None), "no plan"

    path = wait_until(written, deadline=Deadline.after("the plan", LONG))
    session.folder = path.parent
    return load(path.read_bytes(), cache_root())


def ctrl_c(session: Session) -> None:
    """An impatient user: the terminal sends SIGINT to the whole group, again and again."""

    def ended() -> tuple[int | None, object]:
        os.killpg(session.process.pid, signal.SIGINT)
        return session.process.poll(), "it runs"

    wait_until(ended, deadline=Deadline.after("the end after Ctrl-C", LONG), pause=timedelta(milliseconds=200))


def sigterm(session: Session) -> None:
    """A service manager: one SIGTERM to the controlling process alone."""
    session.process.send_signal(signal.SIGTERM)
    session.end()


WAYS = {"ctrl-c": ctrl_c, "sigterm": sigterm}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_keeps_the_evidence_and_leaves_nothing(moment: str, tmp_path: Path, runtime: Path) -> None:
    """Two sessions at a time, one for each way of ending it."""

    def interrupted(way: str) -> None:
        with _session(tmp_path / way, runtime / way[0], cold=moment in COLD) as session:
            plan = started(session, tmp_path / way)
            session.reach(MOMENTS[moment])
            WAYS[way](session)
            status = session.end()
        assert not qemus(plan)
        assert not list((runtime / way[0]).iterdir()), f"{way}: the private directory is left"
        # The last command may have been answered before the signal came.
        assert status == pytest.ExitCode.INTERRUPTED or moment == "collecting", session.text
        _check_evidence(session.result("hold", "loopback"), whole=moment == "collecting")

    with ThreadPoolExecutor() as pool:
        list(pool.map(interrupted, WAYS))


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGKILL], ids=["hangup", "kill"])
def test_lab_run_that_goes_away_takes_its_session_with_it(
    signum: signal.Signals, tmp_path: Path, runtime: Path
) -> None:
    """Its terminal is closed, or it is killed: whoever works for it ends in order."""
    argv = [str(Path(sys.executable).with_name("lab")), "run", "hold", *SUBJECT, "--results", str(tmp_path / "r")]
    env = {"LAB_RUNTIME": str(runtime)}
    with running(tmp_path, argv, log=tmp_path / "log", env=env) as session:
        plan = started(session, tmp_path / "r")
        session.reach("delivered")
        os.killpg(session.process.pid, signum)
        session.end()

        def tidied() -> tuple[bool | None, object]:
            left = list(runtime.iterdir())
            return (None if left else True), left

        wait_until(tidied, deadline=Deadline.after("the end of its session", LONG))
    assert not qemus(plan)
    _check_evidence(session.result("hold", "loopback"), whole=False)


def _session(results: Path, runtime: Path, *, cold: bool) -> contextlib.AbstractContextManager[Session]:
    results.mkdir()
    runtime.mkdir()
    argv = pytest_argv(*SUBJECT, "--lab-names", "hold", "--results", str(results), *(["--cold"] if cold else []))
    return running(results, argv, log=results / "log", env={"LAB_RUNTIME": str(runtime)})


def _check_evidence(result: Json, *, whole: bool) -> None:
    bundle = Path(result["bundle"])
    assert (bundle / "receiver" / "console.log").exists()
    if not whole:
        assert result["verdict"] == "MISS", result
        assert "interrupted by the user" in (bundle / "driver.jsonl").read_text()
    assert result["verdict"] in ("MISS", "FAIL")


def test_the_runs_of_a_worker_that_is_killed_are_run_again(tmp_path: Path, runtime: Path) -> None:
    """SIGKILL, as the host's OOM killer sends it: its guests are ended for it, and its evidence is kept apart."""
    with _session(tmp_path / "k", runtime / "k", cold=True) as session:
        plan = started(session, tmp_path / "k")
        session.reach("booting")
        worker = living((plan.sockets / "gw0.pid").read_text())
        assert worker in at_work(plan.sockets)
        os.kill(worker, signal.SIGKILL)
        assert session.end() != 0
    assert not qemus(plan)
    assert not list((runtime / "k").iterdir())
    assert session.result("hold", "loopback")["verdict"] == "FAIL", session.text
    assert len(list(plan.folder.glob("pairs/*/receiver/console.log"))) == 2
    assert (plan.folder / f"{plan.runs[0].id}.lost-1" / "driver.jsonl").exists()
