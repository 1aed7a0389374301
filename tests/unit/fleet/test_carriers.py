# SPDX-License-Identifier: GPL-2.0-only
"""Carriers: who is given what, and what is tried again where. GNU parallel is the real one, where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from lab.errors import BadInput, HostTrouble
from lab.fleet.answers import Answer
from lab.fleet.attempts import AT_WORK, ENDED, STRIKES, FleetFolder
from lab.fleet.batch import TRY_ELSEWHERE
from lab.fleet.carriers import CARRIERS, Work, logins
from lab.fleet.carry import Planned
from lab.fleet.conduct import conduct
from lab.fleet.fitting import pack_source
from lab.fleet.in_turn import Places, Turns
from lab.fleet.inventory import FleetHost
from lab.host.version import lab_code
from lab.host.workers import ENOUGH
from lab.session.conduct import Listener
from lab.spec.request import SessionRequest
from tests.unit.fleet.made import plan_in

ONE, TWO = FleetHost("one", ("true",)), FleetHost("two", ("true",), pairs=3)


def test_a_host_has_room_for_what_its_list_says_else_for_what_fits() -> None:
    assert Answer(ONE, {"pairs": 5}).room == 5
    assert Answer(TWO, {"pairs": 5}).room == 3
    assert Answer(ONE, {"pairs": "many"}).room == 1
    assert Answer(ONE, {"pairs": 10**9}).room == 64
    assert Answer(TWO, {"pairs": 5}, "its clock is wrong").room == 0
    assert logins((ONE, TWO), {"one": 0, "two": 3}) == b"3/two\n"


def test_a_batch_goes_to_a_host_that_has_not_failed_it_and_not_for_ever() -> None:
    turns, hosts = Turns(3, [("a", ()), ("b", ())]), {"one", "two"}
    first = turns.take("one", hosts)
    assert first == ("a", ())
    turns.give_back(first, "one", -9)  # as 75: nobody knows better
    second = turns.take("one", hosts)
    assert second == ("b", ())
    assert turns.take("one", hosts) is None
    turns.give_back(second, "one", 0)
    again = turns.take("two", hosts)
    assert again == ("a", ("one",))
    turns.give_back(again, "two", TRY_ELSEWHERE)
    last = turns.take("one", hosts)
    assert last == ("a", ("one", "two"))
    turns.give_back(last, "one", TRY_ELSEWHERE)
    assert turns.waiting == []
    assert turns.lost == ["a"]


def test_a_batch_is_left_to_who_is_left() -> None:
    turns = Turns(5, [("a", ())])
    first = turns.take("one", {"one", "two"})
    assert first is not None
    turns.give_back(first, "one", TRY_ELSEWHERE)
    assert turns.take("one", {"one", "two"}) is None
    assert turns.take("one", {"one"}) == ("a", ("one",))


def test_attempts_have_numbers_of_their_own_and_strikes_count_in_a_row(tmp_path: Path) -> None:
    fleet = FleetFolder(tmp_path)
    first, second = fleet.begin("s.0000", "one"), fleet.begin("s.0000", "two")
    assert (first.key, second.key) == ("s.0000.1", "s.0000.2")
    fleet.end(first, ENDED, "a\x1b[2Jb\nc")
    assert [(a.state, a.host) for a in fleet.attempts("s.0000")] == [(ENDED, "one"), (AT_WORK, "two")]
    assert "\x1b" not in fleet.attempts("s.0000")[0].why
    assert not fleet.is_open(first)
    assert fleet.is_open(second)
    for _ in range(STRIKES - 1):
        fleet.strike("one", "disk full")
    assert not fleet.is_out("one")
    fleet.strike("one", "disk full")
    assert fleet.is_out("one")
    fleet.absolve("one")
    assert not fleet.is_out("one")


def test_an_unknown_carrier_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pigeon"):
        conduct(SessionRequest(), tmp_path, Listener(), inventory=tmp_path / "nosuch", carrier="pigeon")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("carrier", "lacks"), [("parallel", "GNU parallel"), ("slurm", "sbatch")])
def test_a_carrier_that_is_not_installed_says_so(
    carrier: str, lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostTrouble, match=lacks):
        CARRIERS[carrier](Work(tmp_path, ["a"], 1))
    assert list(tmp_path.iterdir()) == []


def test_the_lab_that_hosts_are_given_is_this_very_one(tmp_path: Path) -> None:
    pack_source(tmp_path / "lab.tar.gz")
    with tarfile.open(tmp_path / "lab.tar.gz") as tar:
        names = tar.getnames()
    (tmp_path / "there").mkdir()
    subprocess.run(["tar", "-xzf", str(tmp_path / "lab.tar.gz"), "-C", str(tmp_path / "there")], check=True)
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]
    script = "from lab.host.version import lab_code; print(lab_code())"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "there")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == lab_code()


def test_attempts_that_are_forked_get_the_plan_that_was_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: Planned = plan_in(tmp_path / "s1"), {}
    monkeypatch.setattr("lab.fleet.carry.main", lambda *told: 0 if told[3] is planned else 1)
    pid = Places(tmp_path / "s1", planned, Turns(1, []), Counter())._forked("a", "one")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_session_that_wants_no_more_begins_no_process_for_each_batch_that_waits(tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "s1")
    places = Places(tmp_path / "s1", (plan, {}), Turns(1, [("a", ())]), Counter(one=1))
    plan.sockets.mkdir(parents=True)
    (plan.sockets / ENOUGH).touch()
    places.begin()
    assert (places.working, places.turns.waiting) == ({}, [("a", ())])


def test_a_lab_without_a_checkout_sends_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    monkeypatch.setattr("lab.fleet.fitting.project_root", lambda: tmp_path)
    with pytest.raises(HostTrouble, match=r"installed without its suites, images, playbooks, pyproject\.toml, "):
        pack_source(tmp_path / "lab.tar.gz")
    assert not (tmp_path / "lab.tar.gz").exists()
