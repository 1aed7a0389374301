# SPDX-License-Identifier: GPL-2.0-only
"""What must hold after every round. Each oracle returns what is broken, in words; nothing means that all is well."""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.collect.bundle import MANIFEST
from tests.faults.effects import Effect
from tests.faults.files import digest
from tests.faults.processes import wait_gone
from tests.faults.sessions import LAB, Live, disk_mib
from tests.faults.table import LOST, PREDICTED, Kind
from tests.faults.world import World

Json = dict[str, Any]
GRACE = timedelta(seconds=100)
"""Whoever tidies up after a killed command may take so long: its workers alone have 40 s, and the engine more."""
MARGIN = 0.7
"""Seconds at the end of a run's drive time in which its last measurement has been taken."""
HOST_MIB, DISK_MIB = 700, 400
JUDGED = frozenset({"PASS", "FAIL"})


@dataclass(frozen=True)
class Ran:
    """One bundle: its verdict as told by `lab judge`, and what its manifest says of time."""

    path: Path
    word: str
    predicted: str
    manifest: Json

    @property
    def drive(self) -> tuple[float, float]:
        """When its pair was at work for it, in seconds since 1970."""
        seconds = self.manifest["seconds"]
        began = datetime.datetime.fromisoformat(self.manifest["started"]).timestamp() + seconds["provision"]
        return began, began + seconds["drive"]


# -- nothing is left behind --------------------------------------------------------------------------------------------


def left_behind(world: World, grace: timedelta = GRACE) -> list[str]:
    """Processes and files that outlive the session."""
    broken = [f"left a process: {proc}" for proc in wait_gone(world, grace)]
    for folder in (world.runtime, world.temp):
        broken += [f"left {path.relative_to(world.root)}" for path in sorted(folder.iterdir())]
    return broken + [f"left a device: {name}" for name in devices()]


def devices() -> list[str]:
    """Bridges of the lab in the host's own network, where none may ever be."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("lab-br"))


def cache_leftovers(world: World, *, spilt: bool) -> list[str]:
    """Half-made entries, unless nobody could remove them, and locks that somebody holds."""
    broken: list[str] = []
    for entry in (e for e in world.cache.iterdir() if not e.is_symlink()):
        for path in [entry, *entry.rglob("*")]:
            if path.name.endswith((".partial", ".tmp")) and not spilt:
                broken.append(f"left in the cache: {path.relative_to(world.cache)}")
            if path.suffix == ".lock" and _is_held(path):
                broken.append(f"a lock is held: {path.relative_to(world.cache)}")
    return broken


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def host_is_spared(live: Live) -> list[str]:
    """No guest takes the host's memory or disk by what it says."""
    used = disk_mib(live.world.results)
    broken = [f"a host process had {live.peak} MiB resident"] if live.peak > HOST_MIB else []
    return broken + ([f"the session's folder has {used} MiB"] if used > DISK_MIB else [])


# -- evidence and words ------------------------------------------------------------------------------------------------


def judged(world: World) -> tuple[list[Ran], list[str]]:
    """Every bundle as `lab judge` sees it now, and what is wrong with them."""
    ran: list[Ran] = []
    broken: list[str] = []
    for manifest in sorted(world.results.glob(f"*/*/{MANIFEST}")):
        done = subprocess.run(
            [LAB, "judge", "--json", str(manifest.parent)], env=world.env, capture_output=True, timeout=120, check=False
        )
        if done.returncode == 2 or not done.stdout:
            broken.append(f"{manifest.parent.name} cannot be judged: {done.stderr.decode(errors='replace')[-200:]}")
            continue
        told = json.loads(done.stdout.splitlines()[0])
        ran.append(Ran(manifest.parent, told["verdict"], told["predicted"], json.loads(manifest.read_bytes())))
    return ran, broken


def judged_alike(ran: Iterable[Ran], told: Mapping[str, str]) -> list[str]:
    """The word of every record of a run is the one that `lab judge` says."""
    broken: list[str] = []
    for run in ran:
        words = {"on the terminal": told.get(run.path.name, run.word)}
        with contextlib.suppress(OSError, ValueError, KeyError):
            words["in verdict.json"] = json.loads((run.path / "verdict.json").read_bytes())["verdict"]
        broken += [
            f"{run.path.name} is {run.word}, {word} {where}" for where, word in words.items() if word != run.word
        ]
    return broken


def kept(live: Live, ran: Iterable[Ran]) -> list[str]:
    """A run that began to measure has left a bundle, and so has one of which a word was told."""
    there = {run.path.name for run in ran}
    begun = {
        e["run"] for e in live.events if e["event"] == "verdict" or e.get("what", "").startswith("checkpoint baseline")
    }
    return [f"{run} left no bundle" for run in sorted(begun - there)]


def is_hit(run: Ran, fault: Effect) -> bool:
    """Whether a fault came while this run was at work, with its pair where that is known."""
    if fault.harmless:
        return False
    if fault.pair and fault.pair != run.manifest["pair"]["id"]:
        return False
    began, ended = run.drive
    return fault.began >= began and fault.ended <= ended - MARGIN


def words(ran: Iterable[Ran], kind: Kind, fault: Effect) -> list[str]:
    """No PASS or FAIL but those that a kind allows, in a run that was hit; elsewhere none that was not predicted."""
    broken: list[str] = []
    for run in ran:
        hit = is_hit(run, fault) and bool(fault.pair)
        legal = kind.hit if hit else LOST | {PREDICTED} | (kind.hit & JUDGED if _is_near(run, kind, fault) else set())
        word_ok = run.word in legal or (PREDICTED in legal and run.word == run.predicted) or run.word == "SKIP"
        if not word_ok:
            broken.append(f"{run.path.name} is {run.word}{' though it was hit' if hit else ', which nobody predicts'}")
        if run.word in JUDGED and (spoilt := _on_damaged(run, fault)):
            broken.append(f"{run.path.name} is {run.word} on a damaged {spoilt}")
    return broken


def _is_near(run: Ran, kind: Kind, fault: Effect) -> bool:
    """A guest that dies or hangs may be found so by a run that is not at work yet, or is at its end."""
    return "FAIL" in kind.hit and fault.pair == run.manifest.get("pair", {}).get("id", fault.pair)


def _on_damaged(run: Ran, fault: Effect) -> str:
    """The file of the cache that a run was made with and that is damaged still; "" when there is none."""
    plan = run.path.parent / "plan.json"
    used = plan.read_text(errors="replace") if plan.is_file() else ""
    for name, damaged in fault.damaged:
        path = Path(name)
        restored = path.parent.parent.name == "states" and run.manifest.get("pair", {}).get("warm") == path.parent.name
        if (restored or name in used) and path.is_file() and digest(path) == damaged:
            return f"{path.parent.name}/{path.name}"
    return ""


# -- how the command ended ---------------------------------------------------------------------------------------------


def expected(live: Live, ran: list[Ran]) -> frozenset[int]:
    """Exit statuses that go with what was measured, as the README says."""
    command = live.scenario.command
    if command == "shell":
        return frozenset({0, 255, 3})  # that of ssh, which says 255 when the guest is gone
    if command == "doctor":
        return frozenset({0, 3})
    lost = any(run.word in LOST and run.word != run.predicted for run in ran)
    if lost or len({run.path.name for run in ran}) < max(1, len(live.scenario.cases)):
        return frozenset({3})
    return frozenset({0 if all(run.word == run.predicted for run in ran) else 1})


def status(live: Live, code: int | None, ran: list[Ran], kind: Kind) -> list[str]:
    """The exit status is a documented one, and no traceback is shown."""
    broken: list[str] = []
    legal = expected(live, ran) | kind.exits | (frozenset({2, 3}) if kind.unwell and not ran else frozenset())
    if code is None:
        broken.append("had to be killed: it did not end by itself")
    elif code not in legal:
        broken.append(f"exit status {code}, not one of {sorted(legal)}")
    for log in live.logs:
        if b"Traceback (most recent call last)" in log.read_bytes():
            broken.append(f"a traceback in {log.name}")
    return broken


def told_words(live: Live) -> dict[str, str]:
    """What `--json` said of each run."""
    found: dict[str, str] = {}
    for line in live.logs[0].read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            found[record["run"]] = record["verdict"]
    return found
