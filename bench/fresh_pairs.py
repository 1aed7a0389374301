# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin for the engine: no run gets a pair that another one has used.

`-p bench.fresh_pairs`; with LAB_BENCH_WORKER=FILE in the environment each run appends one JSON line to FILE.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lab.session.plugin import KEEPER

WORKER_FILE = "LAB_BENCH_WORKER"


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """The run has its bundle by now."""
    keeper = item.config.stash.get(KEEPER, None)
    if keeper is not None:
        keeper.drop()
        note = os.environ.get(WORKER_FILE)
        if note:
            with Path(note).open("a") as out:
                out.write(json.dumps(worker_state(keeper.hypervisor.connection)) + "\n")


def worker_state(connection: Any) -> dict[str, Any]:  # noqa: ANN401 - libvirt has no types
    """What this process holds now: memory, open files, threads, children, domains."""
    return {
        "time": time.time(),
        "rss_mib": _rss_kib(Path("/proc/self/smaps_rollup").read_text()) / 1024,
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "domains": int(connection.numOfDomains()),
    }


def _rss_kib(smaps_rollup: str) -> int:
    return next(int(line.split()[1]) for line in smaps_rollup.splitlines() if line.startswith("Rss:"))
