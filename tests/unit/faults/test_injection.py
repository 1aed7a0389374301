# SPDX-License-Identifier: GPL-2.0-only
"""Faults do what they say, to real processes and files of a round."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.units import MIB
from tests.faults import files, guests, hosts
from tests.faults.effects import NotPossibleError
from tests.faults.processes import end_all, of_role, ours
from tests.faults.sessions import Live
from tests.faults.turns import Turn
from tests.faults.world import World

RNG = random.Random(1)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and limit others' memory")


@pytest.fixture
def reaper(world: World, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the round that is called tini."""
    program = tmp_path / "tini"
    program.symlink_to(sys.executable)
    argv = [str(program), "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=world.env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_who_has_that_role_is_killed(live: Live, reaper: subprocess.Popen[bytes]) -> None:
    done = hosts.kill("reaper")(live, RNG)
    assert reaper.wait(20) == -signal.SIGKILL
    assert str(reaper.pid) in done.what
    assert done.began <= done.ended


def test_nobody_of_that_role_is_no_fault(live: Live) -> None:
    with pytest.raises(NotPossibleError, match="no qemu now"):
        hosts.kill("qemu")(live, RNG)


def test_who_is_paused_goes_on(live: Live, reaper: subprocess.Popen[bytes]) -> None:
    hosts.pause("reaper", 0.1, 0.2)(live, RNG)
    assert state(reaper.pid) != "T"


def test_a_stopped_process_is_found_and_ended(live: Live, reaper: subprocess.Popen[bytes]) -> None:
    hosts.freeze("reaper")(live, RNG)
    assert [proc.pid for proc in of_role(live.world, "reaper")] == [reaper.pid]
    end_all(live.world)
    assert not ours(live.world)


def test_the_port_of_a_guest_is_the_one_its_emulator_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = subprocess.run(
            [sys.executable, "-c", f"from tests.faults.guests import ssh_port; print(ssh_port({os.getpid()}))"],
            capture_output=True,
            check=True,
        )
        assert int(found.stdout) == server.getsockname()[1]


def test_who_listens_nowhere_has_no_port(reaper: subprocess.Popen[bytes]) -> None:
    with pytest.raises(NotPossibleError, match="listens nowhere"):
        guests.ssh_port(reaper.pid)


def test_a_capture_that_has_something_in_it_is_damaged(live: Live) -> None:
    for pair, text in (("aaaa", ""), ("bbbb", "lines\n" * 100)):
        path = live.world.results / "s" / "pairs" / pair / "receiver" / "console.log"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert files.capture("console.log", "cut")(live, RNG).pair == "bbbb"
    assert files.capture("console.log", "removed")(live, RNG).pair == "bbbb"
    with pytest.raises(NotPossibleError):
        files.capture("console.log", "cut")(live, RNG)


@pytest.mark.parametrize("option", ["nofile", "fsize"])
def test_a_limit_is_within_its_bounds(option: str) -> None:
    for seed in range(50):
        program, word = hosts.limited(option, 12, 128)(random.Random(seed))
        assert program == "prlimit"
        assert 12 <= int(word.rpartition("=")[2]) <= 128


@needs_root
def test_a_small_disk_is_filled_and_gone_at_the_end(live: Live) -> None:
    folder = live.world.results
    (folder / "before").write_text("x")
    with _own_mounts(), files.small_disk(folder, 8):
        assert (folder / "before").read_text() == "x"
        files.fill("results")(live, RNG)
        about = os.statvfs(folder)
        assert about.f_bavail * about.f_frsize <= 2 * MIB
    assert [path.name for path in folder.iterdir()] == ["before"]
    assert not folder.is_mount()


@contextlib.contextmanager
def _own_mounts() -> Iterator[None]:
    """This host may not let us mount at all."""
    try:
        yield
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no mount here: {exc}")


@needs_root
def test_little_memory_is_for_those_that_it_is_given_to(world: World) -> None:
    group = f"lab-faults-test-{world.mark}"
    argv = [sys.executable, "-c", "x = bytearray(96 << 20); print(len(x))"]
    try:
        with hosts.little_memory(group, 48) as prefix:
            little = subprocess.run([*prefix, *argv], capture_output=True, check=False)
    except NotPossibleError as exc:
        pytest.skip(str(exc))
    assert little.returncode == -signal.SIGKILL
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 0
    assert not any(path.name == group for path in Path("/sys/fs/cgroup").glob("*/*"))


def test_turns_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.turns.HOLD_S", 0.0)
    one, other, order = Turn(tmp_path / "lock"), Turn(tmp_path / "lock"), list[str]()

    def second() -> None:
        with other.round():
            order.append("other")

    with one.round():
        thread = threading.Thread(target=second)
        thread.start()
        order.append("one")
    thread.join(20)
    assert order == ["one", "other"]


def test_a_session_that_is_over_is_not_reached(live: Live) -> None:
    live.scenario = replace(live.scenario, lines=1)
    assert not live.reach()
