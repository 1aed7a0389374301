# SPDX-License-Identifier: GPL-2.0-only
"""Hosts without guests: a local process that speaks the real wire, waits, and sends bundles that were made before.

`python -S simulated.py CONFIG NAME` is such a host's end. It starts in few milliseconds, so that hundreds of them leave
the CPUs to the controller.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.fleet.wire import DATA, PIECE, Beating, LinkLost, Wire

if TYPE_CHECKING:
    from lab.fleet.inventory import FleetHost
    from lab.plan.session import SessionPlan

SILENT = 15.0
"""Seconds until ssh gives up a host that was cut off (ServerAliveInterval and -CountMax of lab.fleet.inventory)."""


def make(
    folder: Path, plan: SessionPlan, seconds: float, slow: dict[str, float] | None = None, most: int | None = None
) -> Path:
    """What hosts have to know, with a stream of real bundles for each batch of a plan; its config file.

    seconds  how long a host is at a batch;  slow  other times, by host;  most  only for so many batches, the first
    """
    import itertools
    import shutil

    from lab.fleet.orders import batches
    from lab.fleet.stream import pack
    from lab.host.version import lab_code
    from tests.unit.fleet.made import bundle_of

    for name in ("streams", "cut"):
        (folder / name).mkdir(parents=True)
    for batch, runs in itertools.islice(batches(plan).items(), most):
        made = folder / "made" / batch
        for run in runs:
            bundle_of(plan, run, made, repeat=run.repeat)
        with (folder / "streams" / batch).open("wb") as out:
            digest, _ = pack(made, [run.id for run in runs], out)
        (folder / "streams" / f"{batch}.sha256").write_text(digest)
        shutil.rmtree(made)
    told = {"folder": str(folder), "seconds": seconds, "slow": slow or {}, "lab_code": lab_code()}
    (folder / "config.json").write_text(json.dumps(told))
    return folder / "config.json"


def host(config: Path, name: str) -> FleetHost:
    from lab.fleet.inventory import FleetHost
    from lab.host.paths import project_root

    finds_the_lab = f"PYTHONPATH={project_root()}"  # -S leaves out where packages are installed
    return FleetHost(
        name, ("env", finds_the_lab, sys.executable, "-S", "-P", str(Path(__file__).resolve()), str(config), name), 1
    )


class Simulated:
    """The host's end of one connection."""

    def __init__(self, config: dict[str, Any], name: str) -> None:
        self.name, self.folder = name, Path(config["folder"])
        self.seconds, self.lab_code = config["slow"].get(name, config["seconds"]), config["lab_code"]
        self.wire = Wire(0, 1, who="the controller")

    def is_cut_off(self) -> bool:
        return (self.folder / "cut" / self.name).exists()

    def serve(self) -> None:
        """Answers until the controller goes away. Raises LinkLost."""
        while True:
            asked = self.wire.hear()
            if asked["ask"] == "facts":
                self.wire.tell(facts={"pairs": 1, "clock": time.time(), "lab_code": self.lab_code, "node": self.name})
            elif asked["ask"] == "lacking":
                self.wire.tell(lacking=[])
            elif asked["ask"] == "batch":
                self._batch(json.loads(asked["order"])["batch"])
            else:
                self.wire.tell(problem="a simulated host does not know that", sense=True)

    def _batch(self, batch: str) -> None:
        self.wire.tell(doing=f"{batch} as if guests ran")
        end = time.monotonic() + self.seconds
        told: dict[str, Any] = {}
        while not told and (left := end - time.monotonic()) > 0:
            if select.select([0], [], [], min(left, 0.5))[0]:
                kind, data = self.wire.read()
                told = json.loads(data) if kind == b"J" else {}
            if self.is_cut_off():
                os._exit(_silence())
        self.wire.tell(ended=True)
        while "go on" not in told:
            told = self.wire.hear()
        with (self.folder / "streams" / batch).open("rb") as stream:
            while piece := stream.read(PIECE):
                self.wire.send(DATA, piece)
        digest = (self.folder / "streams" / f"{batch}.sha256").read_text()
        self.wire.tell(end={"code": 0, "trouble": [], "interrupted": False, "sha256": digest})
        self.wire.hear()


def _silence() -> int:
    """What a controller has of a host that was cut off: nothing, then the exit status of ssh."""
    time.sleep(SILENT)
    return 255


def main(config: Path, name: str) -> int:
    """Exit status. What it took of the CPU is noted, so that it can be told from what the controller takes."""
    simulated = Simulated(json.loads(config.read_text()), name)
    if simulated.is_cut_off():
        return 255
    try:
        with Beating(simulated.wire):
            simulated.serve()
    except LinkLost:
        pass
    with (simulated.folder / "cpu").open("a") as out:
        out.write(f"{time.process_time():.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
