# SPDX-License-Identifier: GPL-2.0-only
"""A round's folders without a cache, and a session that has ended in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.oracles import Ran
from tests.faults.processes import end_all
from tests.faults.sessions import Live, Scenario
from tests.faults.world import World, new_world

STARTED = 1_800_000_000.0
MakeRan = Callable[..., Ran]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = new_world(tmp_path / "no-cache")
    yield made
    end_all(made)
    shutil.rmtree(made.root)


@pytest.fixture
def live(world: World) -> Live:
    """A `lab run` of one case that said nothing and is over."""
    for log in ("stdout", "stderr"):
        (world.root / log).touch()
    process = subprocess.Popen(["true"])
    process.wait()
    return Live(Scenario("run", cases=("release",)), world, process)


@pytest.fixture
def ran(world: World) -> MakeRan:
    """A bundle whose pair was at work from STARTED + 10 to STARTED + 20."""

    def make(word: str, predicted: str = "PASS", name: str = "release.loopback.1", **pair: str) -> Ran:
        path = world.results / "session" / name
        path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "started": "2027-01-15T08:00:00+00:00",
            "seconds": {"provision": 10.0, "drive": 10.0, "collect": 1.0},
            "pair": {"id": "aaaa", "warm": "", **pair},
        }
        return Ran(path, word, predicted, manifest)

    return make
