# SPDX-License-Identifier: GPL-2.0-only
"""Each oracle turns red on what it is for, and is quiet without that."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from tests.faults import oracles
from tests.faults.effects import Effect
from tests.faults.files import digest
from tests.faults.sessions import Live
from tests.faults.table import TABLE
from tests.faults.world import World
from tests.unit.faults.conftest import STARTED, MakeRan

NOW = timedelta(0)
KILL, PANIC, STOP = TABLE["kill-qemu"], TABLE["panic"], TABLE["stop-qemu"]


def during(second: float, **more: object) -> Effect:
    """A fault of the pair so many seconds after the run began."""
    fields: dict[str, object] = {"pair": "aaaa", **more}
    return Effect("a fault", STARTED + second, STARTED + second, **fields)  # type: ignore[arg-type]


# -- left behind ---------------------------------------------------------------------------------------------------


def waiting(*argv: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process that is up, and waits for the end of its input."""
    command = [sys.executable, "-c", "print('up', flush=True); input()", *argv]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def test_nothing_is_left(world: World) -> None:
    assert oracles.left_behind(world, NOW) == []


def test_a_process_that_names_the_folder_is_found(world: World) -> None:
    with waiting(f"{world.runtime}/lab-x/h") as stray:
        (broken,) = oracles.left_behind(world, NOW)
        stray.kill()
    assert f"left a process: other {stray.pid}" in broken


def test_a_process_that_was_started_by_the_round_is_found(world: World) -> None:
    with waiting(env=world.env) as stray:
        (broken,) = oracles.left_behind(world, NOW)
        stray.kill()
    assert str(stray.pid) in broken


def test_processes_of_others_are_not(world: World) -> None:
    with waiting(f"{world.root}-and-more/x", env={**world.env, "LAB_FAULTS_ROUND": "another"}) as other:
        assert oracles.left_behind(world, NOW) == []
        other.kill()


@pytest.mark.parametrize("where", ["rt/lab-x1", "tmp/lab-y2"])
def test_a_file_is_found(world: World, where: str) -> None:
    (world.root / where).mkdir()
    assert oracles.left_behind(world, NOW) == [f"left {where}"]


@pytest.mark.parametrize("name", ["states/k.partial", "learnt.json.12.partial", "x.tmp"])
def test_what_is_half_made_in_the_cache_is_found_unless_nobody_could_remove_it(world: World, name: str) -> None:
    path = world.cache / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert oracles.cache_leftovers(world, spilt=False) == [f"left in the cache: {name}"]
    assert oracles.cache_leftovers(world, spilt=True) == []


def test_a_lock_that_is_held_is_found(world: World) -> None:
    lock = world.cache / "learnt.json.lock"
    lock.touch()
    assert oracles.cache_leftovers(world, spilt=False) == []
    with FileLock(lock):
        assert oracles.cache_leftovers(world, spilt=True) == ["a lock is held: learnt.json.lock"]


# -- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["PASS", "FAIL"])
def test_a_verdict_of_a_run_that_was_hit_is_false(ran: MakeRan, word: str) -> None:
    run = ran(word)
    (broken,) = oracles.words([run], KILL, during(15))
    assert broken == f"release.loopback.1 is {word} though it was hit"


@pytest.mark.parametrize("word", ["MISS", "ERROR"])
def test_lab_trouble_is_what_a_hit_run_should_get(ran: MakeRan, word: str) -> None:
    assert oracles.words([ran(word)], KILL, during(15)) == []


def test_a_run_is_hit_only_while_its_own_pair_is_at_work_for_it(ran: MakeRan) -> None:
    run = ran("PASS")
    hits = {when: oracles.is_hit(run, during(when)) for when in (5, 10.1, 19, 19.8, 25)}
    assert hits == {5: False, 10.1: True, 19: True, 19.8: False, 25: False}
    assert not oracles.is_hit(run, during(15, pair="bbbb"))
    assert not oracles.is_hit(run, during(15, harmless=True))


def test_a_run_that_was_not_hit_gets_no_verdict_that_nobody_predicts(ran: MakeRan) -> None:
    fault = during(30)
    assert oracles.words([ran("FAIL")], KILL, fault) == ["release.loopback.1 is FAIL, which nobody predicts"]
    assert oracles.words([ran("FAIL", "FAIL"), ran("PASS"), ran("MISS")], KILL, fault) == []


def test_a_panic_is_the_kernels_and_nothing_else(ran: MakeRan) -> None:
    assert oracles.words([ran("FAIL")], PANIC, during(15)) == []
    assert len(oracles.words([ran("MISS")], PANIC, during(15))) == 1
    assert len(oracles.words([ran("PASS")], PANIC, during(15))) == 1


def test_a_frozen_guest_is_no_fault_of_the_kernel(ran: MakeRan) -> None:
    assert oracles.words([ran("PASS"), ran("MISS")], STOP, during(12)) == []
    assert len(oracles.words([ran("FAIL")], STOP, during(12))) == 1


def test_a_verdict_on_a_damaged_file_is_false_until_the_file_is_made_again(ran: MakeRan, world: World) -> None:
    kernel = world.cache / "boot"
    kernel.write_bytes(b"flipped")
    run = ran("PASS")
    (run.path.parent / "plan.json").write_text(json.dumps({"boot": str(kernel)}))
    fault = Effect("x", 0, 0, damaged=((str(kernel), digest(kernel)),))
    (broken,) = oracles.words([run], TABLE["cached-kernel"], fault)
    assert "PASS on a damaged" in broken
    kernel.write_bytes(b"made again")
    assert oracles.words([run], TABLE["cached-kernel"], fault) == []


def test_a_verdict_on_a_damaged_state_is_false(ran: MakeRan, world: World) -> None:
    memory = world.cache / "states" / "key1" / "receiver.ram"
    memory.parent.mkdir(parents=True)
    memory.write_bytes(b"flipped")
    fault = Effect("x", 0, 0, damaged=((str(memory), digest(memory)),))
    assert len(oracles.words([ran("PASS", warm="key1")], TABLE["cached-state-ram"], fault)) == 1
    assert oracles.words([ran("PASS", warm="")], TABLE["cached-state-ram"], fault) == []


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_words_that_differ_are_found(ran: MakeRan) -> None:
    run = ran("PASS")
    (run.path / "verdict.json").write_text('{"verdict": "PASS"}')
    assert oracles.judged_alike([run], {run.path.name: "PASS"}) == []
    assert oracles.judged_alike([run], {run.path.name: "FAIL"}) == ["release.loopback.1 is PASS, FAIL on the terminal"]
    (run.path / "verdict.json").write_text('{"verdict": "MISS"}')
    assert oracles.judged_alike([run], {}) == ["release.loopback.1 is PASS, MISS in verdict.json"]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "verdict", "run": "release.loopback.1", "word": "PASS"},
        {"event": "stage", "run": "release.loopback.1", "what": "checkpoint baseline"},
    ],
)
def test_a_run_that_measured_and_left_no_bundle_is_found(live: Live, ran: MakeRan, event: dict[str, str]) -> None:
    run = ran("PASS")
    (run.path.parent / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert oracles.kept(live, [run]) == []
    assert oracles.kept(live, []) == ["release.loopback.1 left no bundle"]


def test_a_folder_that_a_guest_fills_is_found(live: Live) -> None:
    assert oracles.host_is_spared(live) == []
    path = live.world.results / "console.log"
    subprocess.run(["fallocate", "-l", f"{oracles.DISK_MIB + 1}M", str(path)], check=True)
    live.peak = oracles.HOST_MIB + 1
    assert len(oracles.host_is_spared(live)) == 2


# -- exit status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "code"), [("PASS", 0), ("FAIL", 1), ("MISS", 3), ("ERROR", 3)])
def test_the_exit_status_goes_with_the_words(live: Live, ran: MakeRan, word: str, code: int) -> None:
    for status in (0, 1, 2, 3, 130, None):
        broken = oracles.status(live, status, [ran(word)], KILL)
        assert (broken == []) is (status == code)


def test_a_run_without_a_bundle_is_no_success(live: Live) -> None:
    assert oracles.status(live, 0, [], KILL) == ["exit status 0, not one of [3]"]
    assert oracles.status(live, 3, [], KILL) == []


def test_a_signal_has_its_own_status(live: Live) -> None:
    assert oracles.status(live, 130, [], TABLE["int-int"]) == []
    assert oracles.status(live, 143, [], TABLE["int-term"]) == []
    assert oracles.status(live, 129, [], TABLE["int-int"]) != []


def test_a_traceback_is_found(live: Live, ran: MakeRan) -> None:
    Path(live.world.root / "stderr").write_text("Traceback (most recent call last):\n  …\n")
    assert oracles.status(live, 0, [ran("PASS")], KILL) == ["a traceback in stderr"]
