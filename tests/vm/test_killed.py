# SPDX-License-Identifier: GPL-2.0-only
"""SIGKILL, as the host's OOM killer or an impatient user sends it, to whoever starts guests: nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.host.workers import living
from lab.plan.session import PLAN_FILE
from lab.provision.private import GUARDIAN
from lab.provision.sweep import COOKIE, left_behind
from lab.units import Deadline, wait_until
from tests.vm.sessions import LONG, Session, running

SOON = timedelta(seconds=40)
"""A command that ends in order first waits for libvirt, which may be asking QEMU what it can."""
WATCHED = timedelta(seconds=20)
"""The guardian has nobody to wait for; docs/decisions.md has what it took."""
LAB = str(Path(sys.executable).with_name("lab"))
LOOPBACK = ("--kernel", "6.12", "--nic", "loopback")
COMMANDS = {
    "shell": ("shell", *LOOPBACK, "--cold", "--", "sleep", "3600"),
    "doctor": ("doctor",),
    "nics": ("nics", "--measure", *LOOPBACK),
}


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Where the command makes its private directory; short, because it holds sockets."""
    made = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def started(command: tuple[str, ...], runtime: Path, tmp_path: Path) -> contextlib.AbstractContextManager[Session]:
    return running(tmp_path, [LAB, *command], log=tmp_path / "log", env={"LAB_RUNTIME": str(runtime)})


def private(runtime: Path) -> Path:
    """The command's private folder, when it is there and its guardian is at its post."""

    def seen() -> tuple[Path | None, object]:
        found = next(runtime.glob(f"lab-*/{GUARDIAN}"), None)
        return (found.parent if found and living(found.read_text()) else None), found

    return wait_until(seen, deadline=Deadline.after("a private folder with its guardian", LONG))


def bearers(folder: Path) -> dict[int, str]:
    """Processes that the owner of a private folder has started, and what these have started."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{COOKIE}={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def await_boot(session: Session, runtime: Path) -> None:
    def booting() -> tuple[bool | None, object]:
        assert session.process.poll() is None, session.text
        return (True if left_behind(runtime) else None), "no QEMU"

    wait_until(booting, deadline=Deadline.after("a QEMU", LONG))


def await_nothing(runtime: Path, folder: Path, limit: timedelta = SOON) -> None:
    guardian = int((folder / GUARDIAN).read_text().split()[0]) if (folder / GUARDIAN).exists() else 0

    def gone() -> tuple[bool | None, object]:
        left = (list(runtime.iterdir()), left_behind(runtime), bearers(folder), guardian)
        watched = guardian and Path(f"/proc/{guardian}").exists()
        return (None if any(left[:3]) or watched else True), left

    wait_until(gone, deadline=Deadline.after("the end of all that was started", limit))


def everybody(session: Session) -> None:
    """The whole process group: reaper, command, ssh."""
    os.killpg(session.process.pid, signal.SIGKILL)


def the_pid_that_is_known(session: Session) -> None:
    """A command that replaced itself: this is the reaper's pid by now."""
    os.kill(session.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [everybody, the_pid_that_is_known])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_killed_while_its_guest_boots(
    command: str, kill: Callable[[Session], None], runtime: Path, tmp_path: Path
) -> None:
    with started(COMMANDS[command], runtime, tmp_path) as session:
        folder = private(runtime)
        await_boot(session, runtime)
        kill(session)
        await_nothing(runtime, folder)


def test_lab_run_that_is_killed_before_there_is_a_plan(runtime: Path, tmp_path: Path) -> None:
    with started(("run", "hold", *LOOPBACK, "--results", str(tmp_path)), runtime, tmp_path) as session:
        folder = private(runtime)
        assert not list(tmp_path.glob(f"*/{PLAN_FILE}"))
        os.kill(session.process.pid, signal.SIGKILL)
        await_nothing(runtime, folder)


def test_a_session_all_of_whose_processes_are_killed_but_the_guardian(runtime: Path, tmp_path: Path) -> None:
    """Its guest is at work, and nobody is left who would end it in order."""
    with started(("run", "hold", *LOOPBACK, "--results", str(tmp_path / "r")), runtime, tmp_path) as session:
        folder = private(runtime)
        await_boot(session, runtime)
        guests = set(left_behind(runtime))
        for pid in {session.process.pid, *bearers(folder)} - guests:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await_nothing(runtime, folder, WATCHED)


@pytest.mark.parametrize("victim", ["engine", "reaper"])
def test_a_session_whose_engine_is_killed(victim: str, runtime: Path, tmp_path: Path) -> None:
    """Its worker puts its evidence away, is waited for, and begins nothing more; what began is told as a MISS."""
    argv = ("run", "hold", "release", *LOOPBACK, "-n", "1", "--results", str(tmp_path / "r"))
    with started(argv, runtime, tmp_path) as session:
        folder = private(runtime)

        def planned() -> tuple[Path | None, object]:
            assert session.process.poll() is None, session.text
            return next((tmp_path / "r").glob(f"*/{PLAN_FILE}"), None), "no plan"

        session.folder = wait_until(planned, deadline=Deadline.after("the plan", LONG)).parent
        session.reach("delivered")
        found = {pid for pid, argv in bearers(folder).items() if " -m lab.session.engine" in argv}
        reapers = {pid for pid in found if "tini" in Path(f"/proc/{pid}/comm").read_text()}
        (pid,) = reapers if victim == "reaper" else found - reapers
        os.kill(pid, signal.SIGKILL)
        assert session.end() == 3, session.text
        assert not list(runtime.iterdir())
        await_nothing(runtime, folder, timedelta(seconds=1))
    began = [path for path in session.folder.glob("*.*") if (path / "driver.jsonl").exists()]
    assert [(r["verdict"], Path(r["bundle"])) for r in session.results] == [("MISS", path) for path in began]
    assert len(began) == 1
    assert "1 of 2 runs left no bundle" in session.text
