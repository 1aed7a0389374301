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
    known: dict[tuple[str, str], dict[str, bytes]] = {}
    for batch, runs in itertools.islice(batches(plan).items(), most):
        made = folder / "made" / batch
        for run in runs:
            if (run.case, run.nic) not in known:
                first = bundle_of(plan, run, folder / "first")
                files = [path for path in first.rglob("*") if path.is_file()]
                known[run.case, run.nic] = {str(path.relative_to(first)): path.read_bytes() for path in files}
            _bundle(known[run.case, run.nic], made / run.id, run)
        with (folder / "streams" / batch).open("wb") as out:
            digest, _ = pack(made, [run.id for run in runs], out)
        (folder / "streams" / f"{batch}.sha256").write_text(digest)
        shutil.rmtree(made)
    told = {"folder": str(folder), "seconds": seconds, "slow": slow or {}, "lab_code": lab_code()}
    (folder / "config.json").write_text(json.dumps(told))
    return folder / "config.json"


def _bundle(files: dict[str, bytes], target: Path, run: Run) -> None:
    """That of another run of the same case, as this one's: to tell a story takes ten times as long."""
    for name, data in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    told = json.loads(files[MANIFEST])
    (target / MANIFEST).write_text(json.dumps({**told, "run": run.id, "repeat": run.repeat}))


def host(config: Path, name: str) -> FleetHost:
    return FleetHost(name, (sys.executable, "-I", "-S", str(END), str(config), name), 1)
