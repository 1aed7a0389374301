# SPDX-License-Identifier: GPL-2.0-only
"""Hosts without guests: a local process that speaks the real wire, waits, and sends bundles that were made before."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from pathlib import Path

from lab.contracts import MANIFEST
from lab.fleet.inventory import FleetHost
from lab.fleet.orders import batches
from lab.fleet.stream import pack
from lab.host.version import lab_code
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from tests.unit.fleet.made import bundle_of

END = Path(__file__).with_name("simulated_end.py")


def make(
    folder: Path, plan: SessionPlan, seconds: float, slow: dict[str, float] | None = None, most: int | None = None
) -> Path:
    """What hosts have to know, with a stream of real bundles for each batch of a plan; its config file.

    seconds  how long a host is at a batch;  slow  other times, by host;  most  only for so many batches, the first
    """
    for name in ("streams", "cut"):
        (folder / name).mkdir(parents=True)
    known: dict[tuple[str, str], Path] = {}
    for batch, runs in itertools.islice(batches(plan).items(), most):
        made = folder / "made" / batch
        for run in runs:
            if there := known.get((run.case, run.nic)):
                _as_another(there, made / run.id, run)
            else:
                known[run.case, run.nic] = bundle_of(plan, run, folder / "first", repeat=run.repeat)
                shutil.copytree(folder / "first" / run.id, made / run.id)
        with (folder / "streams" / batch).open("wb") as out:
            digest, _ = pack(made, [run.id for run in runs], out)
        (folder / "streams" / f"{batch}.sha256").write_text(digest)
        shutil.rmtree(made)
    told = {"folder": str(folder), "seconds": seconds, "slow": slow or {}, "lab_code": lab_code()}
    (folder / "config.json").write_text(json.dumps(told))
    return folder / "config.json"


def _as_another(bundle: Path, target: Path, run: Run) -> None:
    """The same bundle of another run: to tell a story takes ten times as long."""
    shutil.copytree(bundle, target)
    told = json.loads((bundle / MANIFEST).read_bytes())
    (target / MANIFEST).write_text(json.dumps({**told, "run": run.id, "repeat": run.repeat}))


def host(config: Path, name: str) -> FleetHost:
    return FleetHost(name, (sys.executable, "-I", "-S", str(END), str(config), name), 1)
