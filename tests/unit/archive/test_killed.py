# SPDX-License-Identifier: GPL-2.0-only
"""kill -9, wherever it strikes: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lab.archive.fill import Read, _put, _put_session, read_one
from lab.archive.index import FOLDER, Index, opened
from lab.archive.places import look
from lab.units import Deadline, wait_until
from tests.unit.archive.stored import NEW, OLD, Contents, anew, asked, write_results
from tests.unit.cli.conftest import write_run

Made = tuple[Path, Contents, list[Read]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Results, what an index of them says, and what it is made of."""
    root = tmp_path_factory.mktemp("made") / "results"
    write_results(root)
    rows, view = anew(root), look(root)
    assert view is not None
    return root, rows, [read_one(root, seen) for seen in view.bundles]


def killed(work: Callable[[], None]) -> None:
    """Do something in a fork of this process, which has itself killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def fill(root: Path, reads: list[Read], at: int) -> Callable[[], None]:
    """Fill an empty index with all of them, and be killed before the statement of that number."""
    whole, done = Index.execute, 0

    def execute(index: Index, sql: str, *values: object) -> list[tuple[object, ...]]:
        nonlocal done
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(index, sql, *values)

    def work() -> None:
        Index.execute = execute  # type: ignore[method-assign, assignment]
        with opened(root) as index:
            for folder in (OLD, NEW):
                _put_session(index, root, "", folder)
            for read in reads:
                _put(index, read)

    return work


@pytest.mark.parametrize("at", [*range(1, 40, 2), *range(40, 200, 13)])
def test_a_process_that_is_killed_at_any_statement_loses_nothing(made: Made, at: int) -> None:
    root, rows, reads = made
    shutil.rmtree(root / FOLDER)
    killed(fill(root, reads, at))
    assert asked(root) == rows


def test_a_log_that_was_cut_at_any_byte_loses_nothing(made: Made, tmp_path: Path) -> None:
    root, rows, reads = made
    shutil.rmtree(root / FOLDER)

    def work() -> None:
        fill(root, reads, 0)()
        with opened(root) as index:  # closing the last connection has the log written into the file: stay open
            index.execute("BEGIN")
            index.execute("DELETE FROM stamps WHERE name = 'nobody'")
            index.execute("COMMIT")
            with index.change():
                index.execute("UPDATE stamps SET stamp = 'old'")
            os.kill(os.getpid(), signal.SIGKILL)

    killed(work)
    (log,) = (root / FOLDER).glob("*-wal")
    size = log.stat().st_size
    assert size
    for share in (0, 1, 31, 32, 33, 55, 56, 57, size // 3, size // 2, size - 4096, size - 1):
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        shutil.copytree(root, tmp_path / "results", copy_function=shutil.copy2)
        os.truncate(tmp_path / "results" / FOLDER / log.name, min(share, size))
        assert asked(tmp_path / "results") == rows


def of_session(leader: int) -> list[int]:
    """Processes of a session of processes that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = path.read_text().partition(" (")
        except OSError:
            continue
        state, _, _, session = rest.rpartition(") ")[2].split()[:4]
        if int(session) == leader and state != "Z":
            found.append(int(pid))
    return found


def test_a_rebuild_that_is_killed_leaves_no_process_and_is_gone_on_with(tmp_path: Path) -> None:
    root = tmp_path / "results"
    write_results(root)
    for number in range(8):
        write_run(root / NEW / f"release.e1000e-split.{number:08x}", "release")
    code = "import sys; sys.argv[0] = 'lab'; from lab.cli import main; main()"
    argv = [sys.executable, "-c", code, "archive", "rebuild", "--results", str(root)]
    process = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def judging() -> tuple[bool | None, object]:
        return (True if len(of_session(process.pid)) > 2 or process.poll() is not None else None), process.poll()

    wait_until(judging, deadline=Deadline.after("processes that judge", timedelta(seconds=60)))
    process.kill()
    process.wait()

    def ended() -> tuple[bool | None, object]:
        left = of_session(process.pid)
        return (None if left else True), left

    wait_until(ended, deadline=Deadline.after("the processes that judged", timedelta(seconds=60)))
    assert asked(root) == anew(root)
