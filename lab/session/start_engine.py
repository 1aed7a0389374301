# SPDX-License-Identifier: GPL-2.0-only
"""The engine of `lab run`: a pytest in a process of its own, which imports what it needs while the plan is made."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from lab.errors import HostTrouble
from lab.host.interrupt import handled, held_back

if TYPE_CHECKING:
    from lab.plan.session import SessionPlan

LOG = "pytest.log"
PLUGINS = ("xdist.plugin", "lab.session.plugin")
"""What the engine needs. Others that are installed cost each of its processes a second or two at its start and its end,
and so does rewriting of assertions, which covers all modules of a plugin's package."""

# the controller gives its workers 40 s, and xdist 10 s more
STOP_LIMIT = timedelta(seconds=75)


class Runner(Protocol):
    """What runs a plan: `Engine` on this host, others elsewhere. Signals are its own while it does."""

    @property
    def signals(self) -> list[int]: ...

    def begin(self, plan: SessionPlan) -> None: ...

    def poll(self) -> int | None: ...

    def stop(self, signum: int, frame: FrameType | None, /) -> None: ...


@dataclass
class Engine:
    """The process, which waits for its plan or runs it, and the signals that came meanwhile."""

    process: subprocess.Popen[bytes]
    signals: list[int] = field(default_factory=list)
    begun: bool = False

    def begin(self, plan: SessionPlan) -> None:
        """Have it run a plan. Raises HostTrouble when it is gone, KeyboardInterrupt when a signal did that."""
        order = {"argv": pytest_argv(plan), "log": str(plan.folder / LOG), "instead": _instead(plan)}
        self.begun = True
        try:
            assert self.process.stdin is not None  # noqa: S101 - it was opened so
            with self.process.stdin as pipe:
                pipe.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError as exc:
            if self.signals:
                raise KeyboardInterrupt from exc
            raise HostTrouble(f"pytest ended before it had a plan, status {self.process.wait()}") from exc

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.process.poll()

    def stop(self, signum: int, _frame: FrameType | None, /) -> None:
        """A handler: the signal is noted, and handed on."""
        self.signals.append(signum)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)


@contextlib.contextmanager
def started() -> Iterator[Engine]:
    """An engine under a child subreaper, in a process group of its own; it is gone when the block ends.

    Where this process is killed, the reaper interrupts it. What outlives reaper or engine, because that was killed, is
    ended with the private folder that was made before: its workers have evidence to keep.
    """
    reaper = shutil.which("tini")
    argv = [*([reaper, "-s", "-p", "SIGINT", "--"] if reaper else []), sys.executable, "-m", "lab.session.engine"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, start_new_session=True)
    engine = Engine(process)
    try:
        yield engine
    finally:
        with held_back():
            _end(engine)


@contextlib.contextmanager
def handing_on(engine: Runner) -> Iterator[None]:
    """Signals are the engine's in here: it tidies up, and its end is waited for."""
    with handled(engine.stop):
        yield


def _end(engine: Engine) -> None:
    process = engine.process
    if process.poll() is None:
        # one that only waits has nothing to tidy up; the reaper hands the signal on and ends after its child
        os.killpg(process.pid, signal.SIGINT if engine.begun else signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT.total_seconds())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdin is not None:  # a reaper that was killed left the engine, which ends when nobody can order it
        with contextlib.suppress(OSError):
            process.stdin.close()


def pytest_argv(plan: SessionPlan) -> list[str]:
    """Arguments of the pytest that runs a plan."""
    from lab.experiments.found import case_named
    from lab.host.paths import suites_dir
    from lab.plan.session import PLAN_FILE

    # wherever their experiments lie; without a path pytest would look where it was started
    files = sorted({case_named(run.case).file for run in plan.runs}) or [str(suites_dir())]
    argv = [*files, "-c", str(suites_dir() / "pytest.ini"), "-q", "-p", "no:cacheprovider", "--assert=plain"]
    argv += [word for plugin in PLUGINS for word in ("-p", plugin)]
    argv += ["--basetemp", str(plan.sockets / "t")]  # xdist has it made, and pytest leaves it behind
    return [*argv, "-n", str(plan.pairs), "--lab-tidy", "--lab-plan", str(plan.folder / PLAN_FILE)]


def _instead(plan: SessionPlan) -> list[str]:
    """The command line of the same in a network namespace of its own, where a link needs that; else []."""
    from lab.provision.namespace import argv_in_own_namespace

    if not any(run.profile.link == "tap" for run in plan.runs):
        return []
    return argv_in_own_namespace([sys.executable, "-m", "pytest", *pytest_argv(plan)])
