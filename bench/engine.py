# SPDX-License-Identifier: GPL-2.0-only
"""`lab run` as a user starts it, timed from the outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.archive.reports import read_session
from lab.cli.exits import AS_PREDICTED, LAB_FAILED, OTHER_VERDICT
from lab.errors import CommandFailed
from lab.host.paths import project_root
from lab.report.spent import Spent, spent

FRESH_PAIRS = ("-p", "bench.fresh_pairs")
STOP_SECONDS = 90  # `lab run` gives its workers 75 s to tidy up


@dataclass(frozen=True)
class Ran:
    """A session: wall seconds of the whole command, each run as `lab run --json` told it, where its time went."""

    seconds: float
    records: tuple[dict[str, Any], ...]
    spent: Spent

    @property
    def words(self) -> dict[str, str]:
        """Verdict by what was run: kernel, NIC, case and repeat."""
        return {f"{r['kernel']}/{r['nic']}/{r['case']}/{r['repeat']}": r["verdict"] for r in self.records}


def lab_run(
    words: Sequence[str],
    *,
    plugin: Sequence[str] = (),
    env: dict[str, str] | None = None,
    keep: Path | None = None,
) -> Ran:
    """Run it to its end. Raises CommandFailed when the lab itself failed in it.

    keep  an empty folder for bundles and report, which are thrown away otherwise; runs without a verdict are no
          failure then: the caller looks at the words
    """
    with contextlib.ExitStack() as stack:
        results = str(keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-bench-")))
        argv = [sys.executable, "-m", "lab.cli", "run", *words, "--json", "--results", results]
        began = time.monotonic()
        out, err, status = _to_its_end(argv, _environment(plugin, env or {}), Path(results))
        seconds = time.monotonic() - began
        records = tuple(json.loads(line) for line in out.splitlines())
        if status not in (AS_PREDICTED, OTHER_VERDICT) and not (keep and status == LAB_FAILED and records):
            raise CommandFailed(argv, status, err)
        (session,) = Path(results).glob("*/plan.json")
        return Ran(seconds, records, spent(read_session(session.parent)))


def _environment(plugin: Sequence[str], more: dict[str, str]) -> dict[str, str]:
    """Workers read PYTEST_ADDOPTS as well as the controller does, and find our plugin on PYTHONPATH."""
    return {**os.environ, "PYTHONPATH": str(project_root()), "PYTEST_ADDOPTS": " ".join(plugin), **more}


def _to_its_end(argv: list[str], env: dict[str, str], folder: Path) -> tuple[str, str, int]:
    """Like subprocess.run, but an interrupt lets it tidy up its guests."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            status = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
            raise
        return (folder / "out").read_text(), (folder / "err").read_text(), status
