# SPDX-License-Identifier: GPL-2.0-only
"""Who ends what a command leaves when it is killed: real processes, real signals, no guest."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.host.workers import living
from lab.provision.private import GUARDIAN, OWNER, abandoned, private_folder
from lab.provision.sweep import COOKIE
from lab.units import Deadline, wait_until

LONG = timedelta(seconds=30)

OWNS = """
import contextlib, subprocess, sys
from lab.provision.private import private_folder
with contextlib.ExitStack() as stack:
    folder = private_folder(stack.callback)
    helper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    guest = subprocess.Popen([sys.argv[1], "-c", "input()", f"{folder}/s/x"], stdin=subprocess.PIPE, env={})
    print(folder, helper.pid, guest.pid, flush=True)
    sys.stdin.readline()
    helper.communicate(b"\\n"), guest.communicate(b"\\n")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made."""
    made = tmp_path / "runtime"
    made.mkdir()
    monkeypatch.setenv("LAB_RUNTIME", str(made))
    return made


class Owner:
    """A process with a private folder, a helper and something that looks like a QEMU of it."""

    def __init__(self, emulator: Path) -> None:
        pipe = subprocess.PIPE
        argv = [sys.executable, "-c", OWNS, str(emulator)]
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True)
        assert self.process.stdout is not None
        folder, *pids = self.process.stdout.readline().decode().split()
        self.folder, self.started = Path(folder), [int(pid) for pid in pids]
        self.guardian = wait(self._guardian, "its guardian")

    def _guardian(self) -> tuple[int | None, object]:
        with contextlib.suppress(FileNotFoundError):
            return living((self.folder / GUARDIAN).read_text()) or None, "a record"
        return None, "no record"

    @property
    def all_gone(self) -> bool:
        return not self.folder.exists() and not any(map(is_alive, [*self.started, self.guardian]))

    def await_end(self) -> None:
        wait(lambda: (self.all_gone or None, [*self.started, self.guardian]), "the end of all of it")


def wait(probe: Callable[[], tuple[int | None, object]], what: str) -> int:
    return wait_until(probe, deadline=Deadline.after(what, LONG))


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@pytest.fixture
def owner(root: Path, tmp_path: Path) -> Iterator[Owner]:
    assert root.is_dir()
    emulator = tmp_path / "qemu-system-x86_64"
    emulator.symlink_to(sys.executable)
    made = Owner(emulator)
    yield made
    for pid in (made.guardian, *made.started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    made.process.kill()
    made.process.communicate()


def test_the_guardian_tidies_up_after_an_owner_that_is_killed(owner: Owner) -> None:
    os.killpg(owner.process.pid, signal.SIGKILL)
    owner.await_end()
    assert owner.all_gone


def test_the_guardian_outlives_what_ends_others_in_order(owner: Owner) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(owner.guardian, number)
    os.killpg(owner.process.pid, signal.SIGKILL)
    owner.await_end()
    assert owner.all_gone


def test_an_owner_without_a_guardian_tidies_up_by_itself(owner: Owner) -> None:
    os.kill(owner.guardian, signal.SIGKILL)
    owner.process.communicate(b"\n", timeout=30)
    assert owner.process.returncode == 0
    assert owner.all_gone


def test_an_owner_that_ends_leaves_no_guardian(owner: Owner) -> None:
    owner.process.communicate(b"\n", timeout=30)
    assert owner.process.returncode == 0
    assert owner.all_gone


def test_the_next_command_tidies_up_where_both_were_killed(
    owner: Owner, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert abandoned(root) == [], "its owner lives"
    os.kill(owner.guardian, signal.SIGKILL)
    owner.process.kill()
    owner.process.communicate()
    wait(lambda: (None if is_alive(owner.guardian) else 1, "it lives"), "the end of its guardian")
    assert owner.folder.exists()
    assert abandoned(root) == [owner.folder]
    with contextlib.ExitStack() as stack:
        mine = private_folder(stack.callback)
        assert owner.all_gone
        assert list(root.iterdir()) == [mine]
        assert os.environ[COOKIE] == str(mine)
    assert f"after a command that was killed: {owner.folder}" in capfd.readouterr().err
    assert not list(root.iterdir())
    assert COOKIE not in os.environ


def test_a_guardian_at_work_is_left_to_it(owner: Owner, root: Path) -> None:
    os.kill(owner.guardian, signal.SIGSTOP)
    owner.process.kill()
    owner.process.communicate()
    assert abandoned(root) == []
    os.kill(owner.guardian, signal.SIGCONT)
    owner.await_end()


DEAD = {"owner": "1 0"}


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        (DEAD, True),
        ({}, False),  # its owner lives: this process
        (DEAD | {"host": "another"}, False),
        (DEAD | {"pids": "pid:[1]"}, False),
        (DEAD | {"folder": "/tmp/lab-other"}, False),
        ({"boot": "before"}, True),
        ({"boot": "before", "pids": "pid:[1]"}, True),
    ],
)
def test_only_a_record_proves_that_a_folder_is_ours_and_abandoned(
    changes: dict[str, str], ours: bool, root: Path
) -> None:
    with contextlib.ExitStack() as stack:
        folder = private_folder(stack.callback)
        (folder / GUARDIAN).write_text("1 0")
        record = json.loads((folder / OWNER).read_text())
        (folder / OWNER).write_text(json.dumps(record | changes))
        assert abandoned(root) == ([folder] if ours else [])


@pytest.mark.parametrize("spoil", ["none", "half", "list", "huge", "link", "open", "fifo", "link-dir"])
def test_what_is_not_proved_stays(spoil: str, root: Path) -> None:
    with contextlib.ExitStack() as stack:
        folder = private_folder(stack.callback)
        (folder / GUARDIAN).write_text("1 0")
        owner = folder / OWNER
        record = json.dumps(json.loads(owner.read_text()) | DEAD)
        owner.write_text(record)
        assert abandoned(root) == [folder]
        owner.unlink()
        match spoil:
            case "half":
                owner.write_text(record[:40])
            case "list":
                owner.write_text("[]")
            case "huge":
                owner.write_text(" " * 5000 + record)
            case "link":
                (root / "elsewhere").write_text(record)
                owner.symlink_to(root / "elsewhere")
            case "open":
                owner.write_text(record)
                folder.chmod(0o777)
            case "fifo":
                os.mkfifo(owner)
            case "link-dir":
                owner.write_text(record)
                folder.rename(root / "moved")
                folder.symlink_to(root / "moved")
        assert abandoned(root) == []
        if spoil == "link-dir":
            folder.unlink()
            (root / "moved").rename(folder)
