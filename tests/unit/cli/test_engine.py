# SPDX-License-Identifier: GPL-2.0-only
"""The engine as a process: it waits for its plan, and is gone whatever becomes of that."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest

from lab.errors import HostTrouble
from lab.host.paths import cache_root
from lab.plan.session import PLAN_FILE, SessionPlan, dump, load
from lab.session.start_engine import LOG, handing_on, started
from tests.unit.cli.conftest import write_session


@pytest.fixture
def plan(tmp_path: Path) -> SessionPlan:
    """Of a session without runs; on disk."""
    folder, _ = write_session(tmp_path, "s", ())
    sockets = tmp_path / "private"
    sockets.mkdir()
    made = dataclasses.replace(load((folder / PLAN_FILE).read_bytes(), cache_root()), folder=folder, sockets=sockets)
    (folder / PLAN_FILE).write_bytes(dump(made, cache_root()))
    return made


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_without_a_plan_it_is_ended_with_the_block() -> None:
    with started() as engine:
        assert engine.process.poll() is None
    # 128 + n is the reaper's, when the engine has ended
    assert engine.process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert not is_there(engine.process.pid)


def test_one_that_died_before_it_had_a_plan_is_told(plan: SessionPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.session.start_engine.sys.executable", "/bin/false")
    with started() as engine:
        engine.process.wait(30)
        with pytest.raises(HostTrouble, match="ended before it had a plan, status 1"):
            engine.begin(plan)


def test_it_ends_by_itself_when_nobody_can_give_it_a_plan_any_more() -> None:
    with started() as engine:
        assert engine.process.stdin is not None
        engine.process.stdin.close()
        assert engine.process.wait(30) == 0


def test_it_runs_pytest_on_the_plan_and_logs_what_it_says(plan: SessionPlan) -> None:
    with started() as engine:
        engine.begin(plan)
        status = engine.process.wait(60)
    assert status == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "no tests ran" in (plan.folder / LOG).read_text()
    assert not plan.sockets.exists(), "whoever made the plan may be gone"


def test_a_signal_is_noted_and_handed_on(plan: SessionPlan) -> None:
    with started() as engine:
        with handing_on(engine):
            signal.raise_signal(signal.SIGTERM)
        assert engine.signals == [signal.SIGTERM]
        assert engine.process.wait(30) != 0
        with pytest.raises(KeyboardInterrupt):
            engine.begin(plan)
