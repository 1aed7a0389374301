# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts in network namespaces of our own, each with an SSH server, a cache and a forced command.

Whatever happens to a host or to the controller: no run is lost, none counts twice, no verdict is another one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.fleet.attempts import ENDED, GIVEN_UP, FleetFolder
from lab.fleet.batch import is_done
from lab.fleet.inventory import read_inventory
from lab.fleet.link import linked
from lab.host.paths import project_root
from tests.vm.elsewhere import LAB, assert_whole, await_work, controlling, runs_on, words, words_on
from tests.vm.hosts import LEASE, Fleet, cannot, fleet

RUNS, EXPECTED = runs_on("6.12"), words_on("6.12")
GONE = timedelta(seconds=LEASE)
"""In which guests are gone whose controller was killed: its connections end with it, so no host waits for its lease."""

pytestmark = pytest.mark.skipif(bool(cannot()), reason=cannot())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Their caches are empty: what guests are made of is pushed."""
    with fleet(tmp_path_factory.mktemp("fleet")) as hosts:
        yield hosts


def test_the_key_runs_nothing_but_its_forced_command(two: Fleet, tmp_path: Path) -> None:
    host = read_inventory(two.inventory)[0]
    argv = [*host.argv[:-1], f"touch {tmp_path}/owned"]
    done = subprocess.run(argv, input=b"", capture_output=True, check=False, timeout=120)
    assert not (tmp_path / "owned").exists()
    assert done.returncode == 0
    with linked(host) as link:
        assert link.facts()["node"]


def test_a_host_whose_key_is_another_one_is_no_host(two: Fleet, tmp_path: Path) -> None:
    (one, *_) = read_inventory(two.inventory)
    other = tmp_path / "known_hosts"
    other.write_text((two.folder / "known_hosts").read_text().replace("198.18.", "198.19."))
    argv = [a.replace(f"UserKnownHostsFile={two.folder}/known_hosts", f"UserKnownHostsFile={other}") for a in one.argv]
    done = subprocess.run(argv, input=b"", capture_output=True, check=False, timeout=120)
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


def test_a_host_is_cut_off_in_the_middle(two: Fleet, tmp_path: Path) -> None:
    """Its batch is done by the other one; its guests end; what comes late is not counted."""
    one = two.hosts[0]
    with controlling(two, tmp_path, *RUNS) as session:
        await_work(session, "one")
        one.link("down")
        try:
            assert session.end() == 0, session.text
            one.await_no_guest()
        finally:
            one.link("up")
        assert_whole(session, EXPECTED)
        attempts = FleetFolder(session.folder).all_attempts()
        assert [a.host for a in attempts if a.state == GIVEN_UP][:1] == ["one"]
        assert {a.host for a in attempts if a.state == ENDED} == {"two"}
        assert len({a.batch for a in attempts if a.state == ENDED}) == 2


def test_the_controller_is_killed_and_resumed(two: Fleet, tmp_path: Path) -> None:
    with controlling(two, tmp_path, *RUNS) as session:
        await_work(session, "two")
        two.await_guests()
        os.kill(session.process.pid, signal.SIGKILL)
        session.process.wait()
        two.await_no_guest(GONE)
        folder = session.folder
        before = {path: path.read_bytes() for path in folder.glob("*/manifest.json") if is_done(path.parent)}
    with controlling(two, tmp_path, "--resume", folder.name) as session:
        assert session.end() == 0, session.text
        assert session.folder == folder
        assert_whole(session, EXPECTED)
        assert {path: path.read_bytes() for path in before} == before


def test_a_night_is_done_by_both_hosts(two: Fleet, tmp_path: Path) -> None:
    """Its words are those of one host, and its sessions came from the fleet."""
    (tmp_path / "night.toml").write_text(
        'cases = ["hold", "copy-control"]\nnics = ["loopback", "virtio"]\nhours = 1\n'
        '[[target]]\nname = "t"\nkernel = "6.12"\n'
    )
    argv = ["nightly", str(tmp_path / "night.toml"), "--results", str(tmp_path), "--hosts", str(two.inventory)]
    done = subprocess.run(
        [*LAB, *argv],
        env={**os.environ, "PYTHONPATH": str(project_root())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [path.parent for path in tmp_path.glob("20*/fleet")]
    assert {a.host for folder in folders for a in FleetFolder(folder).all_attempts() if a.state == ENDED} == {
        "one",
        "two",
    }
    told = [json.loads(line) for folder in folders for line in (folder / "results.jsonl").read_text().splitlines()]
    assert {(r["case"], r["nic"], "6.12"): r["verdict"] for r in told if "verdict" in r} == EXPECTED


def test_ctrl_c_ends_what_is_remote_and_keeps_its_evidence(two: Fleet, tmp_path: Path) -> None:
    with controlling(two, tmp_path, *RUNS) as session:
        await_work(session, "one")
        os.kill(session.process.pid, signal.SIGINT)
        assert session.end() == 130, session.text
        two.await_no_guest()
        assert words(session)
        assert set(words(session).values()) <= {"MISS", "FAIL", "PASS"}
        incidents = [json.loads(p.read_text())["incidents"] for p in session.folder.glob("*/manifest.json")]
        assert any(incident["kind"] == "interrupted" for found in incidents for incident in found)
