# SPDX-License-Identifier: GPL-2.0-only
"""Four hosts, and every fault that a fleet must outlive: `make four-hosts`, by hand, for it takes a quarter of an hour.

A session is eight runs in four batches, one for each host. Each test prints its figures.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.fleet.attempts import ENDED, FleetFolder
from lab.fleet.fitting import pack_source
from lab.host.paths import project_root
from lab.units import Deadline, wait_until
from tests.vm.elsewhere import assert_whole, await_stage, await_work, controlling, runs_on, words_on
from tests.vm.hosts import Fleet, Host, cannot, check, fleet
from tests.vm.sessions import Session

LINES = ("6.12", "6.1")
RUNS, EXPECTED = runs_on(*LINES), words_on(*LINES)
NAMES = ("one", "two", "three", "four")
LIMIT = timedelta(minutes=15)
DISK = "6g"
ABOUT_TO_WRITE = "proving the accelerator"
"""What a host tells after it has looked at its disk, and before the engine, guests or runs have written anything."""
ALONE = ("hold",)
SOON = timedelta(minutes=3)
"""Of a test that has to fit into ten minutes with cold caches: until all are at work; for what is left, resumed."""
CLOCK = "import time\nreal = time.time\ntime.time = lambda: real() - 3600\n"

pytestmark = pytest.mark.skipif(bool(cannot()), reason=cannot())


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Their caches are empty; that of the third is a small disk of its own."""
    with fleet(tmp_path_factory.mktemp("four"), NAMES) as hosts:
        three = hosts.hosts[2]
        disk = three.cache
        check("mount", "-t", "tmpfs", "-o", f"size={DISK}", "lab-test", str(disk))
        three.kill()
        three.serve()  # what it started before has mounts of its own, without this one
        try:
            yield hosts
        finally:
            check("umount", "--lazy", str(disk))


@pytest.fixture
def began() -> float:
    return time.monotonic()


def end(session: Session) -> None:
    """Exit status 0, each run once, and each with its word."""
    assert session.end(LIMIT) == 0, session.text
    assert_whole(session, EXPECTED)


def tell(what: str, session: Session, began: float) -> None:
    """Figures, for docs/fleet.md."""
    attempts = FleetFolder(session.folder).all_attempts()
    did = Counter(attempt.host for attempt in attempts if attempt.state == ENDED)
    given_up = [f"{a.host}: {a.why}" for a in attempts if a.state != ENDED]
    print(
        f"\n{what}: {time.monotonic() - began:.0f} s, {len(attempts)} attempts, ended on {dict(did)}, "
        f"{sum(a.pushed for a in attempts) / 1e6:.0f} MB pushed, given up: {given_up}"
    )


@contextlib.contextmanager
def full(host: Host) -> Iterator[None]:
    """The disk of its cache, a tmpfs, is as large as what lies on it: at once, and without writing anything."""

    def shrunk() -> tuple[bool | None, object]:
        """What is written meanwhile makes the kernel refuse (EINVAL): then there is more on it."""
        used = shutil.disk_usage(host.cache).used
        assert used, "nothing lies on it: the host writes elsewhere"  # and 0 would be no limit
        size = f"size={used}"
        done = subprocess.run(
            ["mount", "-o", f"remount,{size}", str(host.cache)], capture_output=True, text=True, check=False
        )
        return (True if done.returncode == 0 else None), done.stderr

    wait_until(shrunk, deadline=Deadline.after("a full disk", timedelta(seconds=30)), pause=timedelta(seconds=0.01))
    try:
        yield
    finally:
        check("mount", "-o", f"remount,size={DISK}", str(host.cache))


def another_lab(folder: Path) -> Path:
    """This one, but for a word in one file."""
    pack_source(folder / "lab.tar.gz")
    with tarfile.open(folder / "lab.tar.gz") as tar:
        tar.extractall(folder / "other", filter="data")
    with (folder / "other" / "lab" / "units.py").open("a") as file:
        file.write("# another\n")
    return folder / "other"


def test_nothing_happens(four: Fleet, tmp_path: Path, began: float) -> None:
    """What the others are compared with; artefacts are pushed to all."""
    with controlling(four, tmp_path, *RUNS) as session:
        end(session)
        tell("no fault, cold", session, began)


def test_a_wrong_clock_and_another_lab(four: Fleet, tmp_path: Path, began: float) -> None:
    """Two hosts are left out, and told; the others do it all."""
    three, last = four.hosts[2:]
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    three.allow(four.allowed, PYTHONPATH=f"{tmp_path}/clock:{project_root()}")
    last.allow(four.allowed, PYTHONPATH=another_lab(tmp_path))
    try:
        with controlling(four, tmp_path, *RUNS) as session:
            end(session)
            assert "three: its clock is wrong" in session.text
            assert "four: its lab is another one" in session.text
            assert {a.host for a in FleetFolder(session.folder).all_attempts()} == {"one", "two"}
            tell("a wrong clock, another lab", session, began)
    finally:
        three.allow(four.allowed)
        last.allow(four.allowed)


def test_a_cable_is_pulled_a_host_is_killed_and_a_disk_is_full(four: Fleet, tmp_path: Path, began: float) -> None:
    """All of it at once, while all are at work: the fourth, and whoever comes back, does what is left.

    The disk is full before the third has written what its batch needs, so nothing comes of any try there.
    """
    one, two, three, _ = four.hosts
    with controlling(four, tmp_path, *RUNS) as session:
        await_stage(session, "three", ABOUT_TO_WRITE)
        with full(three):
            for name in ("one", "two", "four"):
                await_work(session, name)
            one.link("down")
            two.kill()
            two.serve()
            try:
                end(session)
                tell("cable, processes, disk", session, began)
                one.await_no_guest()
            finally:
                one.link("up")
        tries = [attempt for attempt in FleetFolder(session.folder).all_attempts() if attempt.host == "three"]
        assert tries
        assert all(attempt.why for attempt in tries), tries
        print(f"what the full disk came to: {[attempt.why for attempt in tries]}")


def test_the_controller_is_killed_and_resumed(four: Fleet, tmp_path: Path, began: float) -> None:
    """One run for each host: it fits into ten minutes, by itself with empty caches too."""
    with controlling(four, tmp_path, *runs_on(*LINES, cases=ALONE)) as session:
        for name in NAMES:
            await_work(session, name, SOON)
        os.kill(session.process.pid, signal.SIGKILL)
        session.process.wait()
        killed = time.monotonic()
        four.await_no_guest()
        print(f"\nthe controller is killed: no guest is left after {time.monotonic() - killed:.1f} s")
        folder = session.folder
    with controlling(four, tmp_path, "--resume", folder.name) as session:
        assert session.end(SOON) == 0, session.text
        assert_whole(session, words_on(*LINES, cases=ALONE))
        assert session.folder == folder
        tell("controller killed, resumed", session, began)
    assert time.monotonic() - began < timedelta(minutes=10).total_seconds()
