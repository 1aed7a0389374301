# SPDX-License-Identifier: GPL-2.0-only
"""Kernels built from source in real pairs. The first build of a machine takes 6 to 11 minutes, others seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.vm.sessions import Json

FIRST_BUILD_S = 2400


def lab(*words: str, results: Path) -> tuple[int, list[Json]]:
    """Exit status of a command, and the objects it said with --json."""
    argv = [sys.executable, "-m", "lab.cli", *words, "--results", str(results), "--json"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, timeout=FIRST_BUILD_S)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def told(results: Path) -> str:
    """Whatever was found in these runs that is not a PASS, for whoever reads why a test failed."""
    runs = [json.loads(path.read_bytes()) for path in sorted(results.rglob("verdict.json"))]
    return "\n".join(
        f"{run['kernel']} {run['case']} {f['word']} {f['rule']}: {f['message']} ({f['pointer']})"
        for run in runs
        for f in run["findings"]
        if f["word"] != "PASS"
    )


def test_a_design_closes_one_hole_and_leaves_the_other(tmp_path: Path) -> None:
    code, runs = lab("run", "hold", "pin-vmsplice", "-k", "precharge", "--nic", "e1000e-split", results=tmp_path)
    words = {run["case"]: (run["verdict"], run["predicted"]) for run in runs}
    assert words == {"hold": ("PASS", "PASS"), "pin-vmsplice": ("FAIL", "FAIL")}, told(tmp_path)
    assert code == 0


def test_a_known_defect_is_caught_and_the_kernel_without_it_is_green(tmp_path: Path) -> None:
    code, mutants = lab("mutants", "precharge~charged-to-root", results=tmp_path)
    assert [(m["mutant"], m["outcome"]) for m in mutants] == [("precharge~charged-to-root", "caught")], told(tmp_path)
    assert code == 0
