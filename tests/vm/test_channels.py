# SPDX-License-Identifier: GPL-2.0-only
"""A guest that says more than it may: the host keeps its disk and its memory, and the run says so."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab.plan.channels import HEADROOM
from lab.plan.session import SessionPlan
from lab.units import MIB
from tests.vm.conftest import MakePlan
from tests.vm.scripts import BORROW
from tests.vm.sessions import Json, qemus, run_script
from tests.vm.test_trouble import HOLD, incidents

MEMORY = 130 * MIB + 2 * HEADROOM
"""Peak of the lab's process. 88 to 124 MiB were measured, and 209 where a guest had filled its telemetry far beyond the
cap before QEMU was ended: that file is judged, and its bytes are held while it is read."""


def flooded(plan: SessionPlan, script: str) -> Json:
    source = plan.folder / "borrow.c"
    source.write_text(BORROW)
    subprocess.run(["cc", "-static", "-O1", "-o", plan.folder / "borrow", source], check=True)
    return run_script(plan, script)


def disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("script", "channel"),
    [
        ("telemetry", "the telemetry was given "),
        ("ready-port", "the ready port was given "),
        ("console", "the console was given "),
        ("program", "flood: the output was given "),
        ("command", "`: the output was given "),
    ],
)
def test_a_flood_ends_the_run_and_not_the_host(make_plan: MakePlan, script: str, channel: str) -> None:
    plan = make_plan(HOLD)
    result = flooded(plan, script)
    peak, used = json.loads((plan.folder / "used.json").read_text())["peak_kib"] * 1024, disk(plan.folder)
    print(f"{script}: {incidents(result)}, memory {peak / MIB:.0f} MiB, disk {used / MIB:.0f} MiB")
    assert result["verdict"] == "ERROR", result
    assert [told.partition(":")[0] for told in incidents(result)] == ["flood"]
    assert channel in incidents(result)[0]
    assert peak < MEMORY
    assert used < 3 * HEADROOM
    assert not qemus(plan)
