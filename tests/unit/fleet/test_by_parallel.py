# SPDX-License-Identifier: GPL-2.0-only
"""GNU parallel and the process that forks attempts for it: who is tried where, and who ends with whom."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.fleet.attempts import FleetFolder
from lab.fleet.by_parallel import HERE
from lab.fleet.carriers import BATCHES, JOBLOG, LOGINS, environment, logins
from lab.fleet.inventory import FleetHost
from lab.host.paths import project_root
from lab.units import Deadline, wait_until

pytestmark = pytest.mark.skipif(
    shutil.which("parallel") is None, reason="GNU parallel is not installed (lab setup --fleet)"
)

LONG = timedelta(seconds=240)
ONE, TWO = FleetHost("one", ("true",)), FleetHost("two", ("true",))
CARRIER = """
import os, signal, sys, time
from pathlib import Path
from lab.fleet import by_parallel
folder = Path(sys.argv[1])

def tell(*words):
    with (folder / "told").open("a") as out:
        print(*words, file=out, flush=True)

def attempt(batch, host):
    return lambda: at_work(batch, host)

def at_work(batch, host):
    tell("began", batch, host, os.getpid(), os.getppid())
    until = folder / "stay"
    signal.signal(signal.SIGINT, lambda *_: until.unlink(missing_ok=True) or tell("stopped", batch, host))
    while until.exists():
        time.sleep(0.05)
    return eval((folder / "status").read_text(), {"batch": batch, "host": host, "os": os})

sys.exit(by_parallel.conducted(folder, 40, int(sys.argv[2]), attempt, (folder / "enough").exists))
"""
CONTROLLER = "import subprocess, sys, os; sys.exit(subprocess.call([*sys.argv[1:], str(os.getpid())]))"


class Session:
    """One without hosts: an attempt waits while there is `stay`, and ends with what `status` comes to."""

    def __init__(self, folder: Path, status: str, *batches: str, hosts: tuple[FleetHost, ...] = (ONE, TWO)) -> None:
        self.folder, self.root = folder, FleetFolder(folder).root
        self.root.mkdir()
        (folder / "status").write_text(status)
        (folder / "carrier.py").write_text(CARRIER)
        (self.root / BATCHES).write_text("".join(f"{name}\n" for name in batches))
        self.give(*hosts)

    def give(self, *hosts: FleetHost) -> None:
        (self.root / LOGINS).write_bytes(logins(hosts, {host.name: 1 for host in hosts}))

    def stay(self) -> None:
        (self.folder / "stay").touch()

    @property
    def told(self) -> list[list[str]]:
        with contextlib.suppress(FileNotFoundError):
            return [line.split() for line in (self.folder / "told").read_text().splitlines()]
        return []

    def heard(self, word: str, count: int = 1) -> list[list[str]]:
        """What was told by this word, once it was told so often."""

        def seen() -> tuple[list[list[str]] | None, object]:
            found = [words for words in self.told if words[0] == word]
            return (found if len(found) >= count else None), self.told

        return wait_until(seen, deadline=Deadline.after(f"{count} times {word!r}", LONG))

    @contextlib.contextmanager
    def conducted(self) -> Iterator[subprocess.Popen[bytes]]:
        """A controller, whose child is the carrier."""
        argv = [sys.executable, "-P", str(self.folder / "carrier.py"), str(self.folder)]
        env = environment() | {"PYTHONPATH": str(project_root()), "SESSION": str(self.folder)}
        process = subprocess.Popen([sys.executable, "-P", "-c", CONTROLLER, *argv], env=env, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            self.await_nobody()

    def processes(self) -> dict[int, list[str]]:
        """Arguments of all that the controller has started, and what that has: they share its environment."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.fsencode(f"SESSION={self.folder}") in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")
        return found

    def waiting(self) -> list[int]:
        """Shells that wait for an attempt."""
        return [pid for pid, argv in self.processes().items() if argv[1:2] == [str(HERE)]]

    def await_nobody(self) -> None:
        def seen() -> tuple[bool | None, object]:
            left = self.processes()
            return (None if left else True), left

        wait_until(seen, deadline=Deadline.after("all of them to end", LONG))


def test_a_batch_is_tried_on_another_host_and_hosts_come_while_it_runs(tmp_path: Path) -> None:
    """One host fails everything, in more ways than one; the other is put on the list later, and does it all."""
    session = Session(tmp_path, "0 if host == 'two' else os.abort() if batch == 'a' else 75", *"abc", hosts=(ONE,))
    session.stay()  # else all tries are over before the list is read again
    os.utime(session.root / LOGINS, (1, 1))
    with session.conducted() as process:
        assert [words[1:3] for words in session.heard("began")] == [["a", "one"]]
        session.give(ONE, TWO)
        session.heard("began", 2)
        (tmp_path / "stay").unlink()
        assert process.wait(LONG.total_seconds()) == 0
    began = [words[1:3] for words in session.told]
    assert sorted(batch for batch, host in began if host == "two") == ["a", "b", "c"]
    assert any(host == "one" for _, host in began)
    log = [line.split("\t") for line in (session.root / JOBLOG).read_text().splitlines()[1:]]
    assert [(line[1], line[6], line[7]) for line in log] == [("two", "0", "0")] * 3


def test_what_all_hosts_fail_is_tried_so_often_and_no_more(tmp_path: Path) -> None:
    session = Session(tmp_path, "75 if batch == 'a' else 0", "a", "b")
    with session.conducted() as process:
        assert process.wait(LONG.total_seconds()) == 1
    began = [words[1] for words in session.told]
    assert (began.count("a"), began.count("b")) == (40, 1)


@pytest.mark.parametrize("who", ["controller", "by_parallel"])
def test_all_end_with_who_is_killed(who: str, tmp_path: Path) -> None:
    """Attempts end in order, which they could not tell if they were killed."""
    session = Session(tmp_path, "0", "a", "b", "c")
    session.stay()
    with session.conducted() as process:
        carrier = session.heard("began", 2)[0][-1]
        os.kill(process.pid if who == "controller" else int(carrier), signal.SIGKILL)
        assert {words[1] for words in session.heard("stopped", 2)} == {"a", "b"}
        session.await_nobody()
    assert len(session.told) == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_attempt_ends_in_order_with_the_shell_that_waits_for_it(number: signal.Signals, tmp_path: Path) -> None:
    """One that is told to stop gives its exit status all the same; where the shell was killed, there is another try."""
    session = Session(tmp_path, "0", "a", hosts=(ONE,))
    session.stay()
    with session.conducted() as process:
        session.heard("began")
        (shell,) = session.waiting()
        os.kill(shell, number)
        session.heard("stopped")
        assert process.wait(LONG.total_seconds()) == 0
    assert len(session.heard("began")) == (2 if number == signal.SIGKILL else 1)


def test_a_session_that_wants_no_more_begins_no_attempt_for_what_waits(tmp_path: Path) -> None:
    """Who is at work goes on to its end; GNU parallel does not ask for the others one by one."""
    session = Session(tmp_path, "0", *(f"b{n}" for n in range(50)), hosts=(ONE,))
    session.stay()
    with session.conducted() as process:
        session.heard("began")
        (tmp_path / "enough").touch()
        (tmp_path / "stay").unlink()
        assert process.wait(LONG.total_seconds()) == 0
    assert [words[:2] for words in session.told] == [["began", "b0"]]
    assert len((session.root / JOBLOG).read_text().splitlines()) <= 1 + 3
