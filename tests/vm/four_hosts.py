# SPDX-License-Identifier: GPL-2.0-only
"""Four hosts, and every fault that a fleet must outlive: `make four-hosts`, by hand, for it takes a quarter of an hour.

A session is eight runs in four batches, one for each host. Each test prints its figures.
"""

from __future__ import annotations

import os
import shutil
import signal
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
from tests.vm.elsewhere import assert_whole, await_work, controlling, runs_on, words_on
from tests.vm.hosts import Fleet, Host, cannot, check, fleet
from tests.vm.sessions import Session

LINES = ("6.12", "6.1")
RUNS, EXPECTED = runs_on(*LINES), words_on(*LINES)
NAMES = ("one", "two", "three", "four")
LIMIT = timedelta(minutes=15)
CLOCK = "import time\nreal = time.time\ntime.time = lambda: real() - 3600\n"

pytestmark = pytest.mark.skipif(bool(cannot()), reason=cannot())


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Their caches are empty; that of the third is a small disk of its own."""
    with fleet(tmp_path_factory.mktemp("four"), NAMES) as hosts:
        disk = hosts.hosts[2].cache
        check("mount", "-t", "tmpfs", "-o", "size=6g", "lab-test", str(disk))
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


def fill(host: Host) -> None:
    """All that is left of the disk of its cache."""
    with (host.cache / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(host.cache).free)


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
    """All of it at once, while all are at work: the fourth, and whoever comes back, does what is left."""
    one, two, three, _ = four.hosts
    with controlling(four, tmp_path, *RUNS) as session:
        for name in NAMES:
            await_work(session, name)
        one.link("down")
        fill(three)
        two.kill()
        two.serve()
        try:
            end(session)
            tell("cable, processes, disk", session, began)
            one.await_no_guest()
        finally:
            one.link("up")
            (three.cache / "filler").unlink()


def test_the_controller_is_killed_and_resumed(four: Fleet, tmp_path: Path, began: float) -> None:
    with controlling(four, tmp_path, *RUNS) as session:
        for name in NAMES:
            await_work(session, name)
        os.kill(session.process.pid, signal.SIGKILL)
        session.process.wait()
        killed = time.monotonic()
        four.await_no_guest()
        print(f"\nthe controller is killed: no guest is left after {time.monotonic() - killed:.1f} s")
        folder = session.folder
    with controlling(four, tmp_path, "--resume", folder.name) as session:
        end(session)
        assert session.folder == folder
        tell("controller killed, resumed", session, began)
