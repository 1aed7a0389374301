# SPDX-License-Identifier: GPL-2.0-only
"""Pairs restored from saved states: themselves, healthy, and given up where they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.host.paths import cache_root
from lab.plan.names import mac
from lab.plan.session import SessionPlan
from lab.provision import states
from tests.unit.damaged import flip
from tests.vm.conftest import MakePlan
from tests.vm.sessions import Json, qemus, run_script, running_plan

HOLD = [("hold", "loopback")]


def run_once(plan: SessionPlan) -> Json:
    """The manifest of the plan's one run, with its verdict."""
    with running_plan(plan) as session:
        session.end()
        result = session.result("hold", "loopback")
    manifest: Json = json.loads((Path(result["bundle"]) / "manifest.json").read_text())
    return {**manifest, "verdict": result["verdict"], "bundle": Path(result["bundle"])}


@pytest.fixture(scope="module")
def warm(make_plan: MakePlan) -> Json:
    """A run on a restored pair; makes the state where there was none."""
    return run_once(make_plan(HOLD))


@pytest.fixture
def own_state(warm: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> states.SavedState:
    """A copy of that pair's state, in a cache of its own: nobody else shall be given what a test does to it."""
    state = states.find(warm["pair"]["warm"])
    assert state is not None
    cache = tmp_path / "cache"
    (cache / "states").mkdir(parents=True)
    for path in cache_root().iterdir():
        if path.name != "states":
            (cache / path.name).symlink_to(path)
    subprocess.run(["cp", "-a", "--sparse=always", state.folder, cache / "states"], check=True)
    monkeypatch.setenv("LAB_CACHE", str(cache))
    states.seal(state.folder, state)
    copied = states.find(state.key)
    assert copied is not None
    assert copied.folder.is_relative_to(tmp_path)
    return copied


def test_a_restored_pair_brings_the_evidence_of_its_boot(warm: Json) -> None:
    assert warm["verdict"] == "FAIL"
    assert warm["pair"]["warm"], warm["pair"]["note"]
    boot = (states.folder_of(warm["pair"]["warm"]) / "captures" / "receiver" / "console.log").read_bytes()
    assert boot
    assert (warm["bundle"] / "receiver" / "console.log").read_bytes().startswith(boot)
    assert (warm["bundle"] / "preflight" / "client.jsonl").stat().st_size > 0
    state = json.loads((warm["bundle"] / "state.json").read_text())
    assert state["key"] == warm["pair"]["warm"]
    assert state["about"]["kernel_sha256"] == warm["kernel"]["sha256"]


def spoil_memory(folder: Path, _state: states.SavedState) -> None:
    """A bit, and the time of the change is set back."""
    path = folder / "receiver.ram"
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def spoil_sample(folder: Path, state: states.SavedState) -> None:
    """As if 64 MiB of the saved receiver had been in use: what is restored is not what was saved."""
    sample = json.loads((folder / states.SAMPLE).read_text())
    sample["meminfo"]["MemFree"] -= 64 << 20
    (folder / states.SAMPLE).write_text(json.dumps(sample) + "\n")
    states.seal(folder, state)


def spoil_devices(folder: Path, state: states.SavedState) -> None:
    with (folder / "receiver.state").open("r+b") as file:
        file.truncate(1000)
    states.seal(folder, state)


Spoil = Callable[[Path, states.SavedState], None]
WRONG: dict[Spoil, str] = {
    spoil_memory: "not as it was saved",
    spoil_sample: "unexplained memory",
    spoil_devices: "QEMU",
}


@pytest.mark.parametrize("spoil", WRONG)
def test_a_state_that_is_not_fit_is_dropped_and_the_run_boots(
    spoil: Spoil, warm: Json, own_state: states.SavedState, make_plan: MakePlan
) -> None:
    spoil(own_state.folder, own_state)
    plan = make_plan(HOLD)
    again = run_once(plan)
    assert again["verdict"] == warm["verdict"]
    assert again["pair"]["warm"] == ""
    assert WRONG[spoil] in again["pair"]["note"]
    if spoil is not spoil_memory:  # which is seen before there are guests
        kept = f"pairs/{again['pair']['id']}-dropped"
        assert kept in again["pair"]["note"]
        assert (plan.folder / kept / "receiver" / "console.log").is_file()
    assert not qemus(plan)
    if spoil is spoil_devices and states.find(own_state.key) is not None:
        run_once(make_plan(HOLD))  # a QEMU that gives up cannot be told from one that was killed: not twice in a row
    assert states.find(own_state.key) is None


def test_a_state_whose_qemu_was_killed_is_kept(warm: Json, own_state: states.SavedState, make_plan: MakePlan) -> None:
    plan = make_plan(HOLD)
    run_script(plan, "killed-restore")
    manifest = json.loads((plan.folder / plan.runs[0].id / "manifest.json").read_text())
    assert manifest["pair"]["warm"] == ""
    assert own_state.key in manifest["pair"]["note"]
    assert states.find(own_state.key) is not None
    assert not qemus(plan)


def test_guests_of_one_state_are_not_twins(make_plan: MakePlan) -> None:
    plans = [make_plan([("hold", "e1000e-split")]) for _ in range(2)]
    told = []
    for plan in plans:
        run_script(plan, "identity")
        told.append(json.loads((plan.folder / "identity.json").read_text()))
        assert not qemus(plan)
    for role in ("receiver", "sender"):
        first, second = (t[role] for t in told)
        for key in ("mac", "random", "link", "hostkey"):
            assert first[key] != second[key], key
        assert max(first["behind"], second["behind"]) < 30  # it was saved minutes ago at least once in the module
        for t in told:
            assert t["planned"][role]["v4"] in t[role]["link"]
            assert t["planned"][role]["v6"] in t[role]["link"]
    manifest = json.loads((plans[1].folder / plans[1].runs[0].id / "manifest.json").read_text())
    assert told[1]["receiver"]["mac"] == mac(manifest["pair"]["id"], "receiver", "link")


@pytest.mark.usefixtures("warm")
def test_a_shell_is_in_a_restored_guest_unless_it_shall_boot() -> None:
    argv = [sys.executable, "-m", "lab.cli", "shell", "--kernel", "6.12"]
    for options, told in (((), "restoring"), (("--cold",), "booting")):
        command = [*argv, *options, "--", "cat", "/etc/hostname"]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        assert ended.stdout.strip()
        assert {"restoring", "booting"} & set(ended.stderr.split()) == {told}
