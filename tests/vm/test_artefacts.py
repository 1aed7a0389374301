# SPDX-License-Identifier: GPL-2.0-only
"""What guests boot from is damaged, and who they run as: no kernel is blamed, or praised, for what was not booted."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab.host import digests
from lab.host.digests import sha256_of
from lab.plan.session import SessionPlan
from lab.provision.confined import account
from tests.unit.damaged import flip
from tests.vm.conftest import MakePlan
from tests.vm.sessions import Json, qemus, running_plan

HOLD = [("hold", "loopback")]


def only_result(plan: SessionPlan) -> Json:
    with running_plan(plan) as session:
        session.end()
        return session.result("hold", "loopback")


def incidents(result: Json) -> list[Json]:
    found: list[Json] = json.loads((Path(result["bundle"]) / "manifest.json").read_text())["incidents"]
    return found


@pytest.mark.parametrize("name", ["boot", "initrd", "image"])
def test_what_is_not_as_recorded_does_not_boot(
    name: str, make_plan: MakePlan, base_plan: SessionPlan, tmp_path: Path
) -> None:
    kernel, image = base_plan.kernels[0], base_plan.image
    copy = tmp_path / name
    shutil.copy({"boot": kernel.boot, "initrd": kernel.initrd, "image": image.path}[name], copy)
    flip(copy)
    changes: dict[str, dict[str, object]] = {
        "boot": {"kernels": (replace(kernel, boot=copy),)},
        "initrd": {"kernels": (replace(kernel, initrd=copy),)},
        "image": {"image": replace(image, path=copy)},
    }
    plan = make_plan(HOLD, **changes[name])
    result = only_result(plan)
    assert result["verdict"] == "MISS", result
    assert {incident["kind"] for incident in incidents(result)} == {"boot", "damaged"}
    assert all(f"{copy} is damaged" in incident["detail"] for incident in incidents(result))
    assert not qemus(plan)


def test_a_kernel_that_died_of_what_rotted_unseen_is_not_blamed(
    make_plan: MakePlan, base_plan: SessionPlan, tmp_path: Path
) -> None:
    """As if the disk had lost a block: what is remembered of the initrd vouches for it, and its kernel panics."""
    kernel = base_plan.kernels[0]
    rotten = tmp_path / "initrd"
    data = kernel.initrd.read_bytes()
    rotten.write_bytes(bytes(4096) + data[4096:])
    digests._write_memo(digests._memo("_sha256", digests._identity(rotten)), kernel.initrd_sha256)
    assert sha256_of(rotten) == kernel.initrd_sha256
    plan = make_plan(HOLD, cold=True, kernels=(replace(kernel, initrd=rotten),))
    result = only_result(plan)
    assert "Kernel panic" in (Path(result["bundle"]) / "receiver" / "console.log").read_text(errors="replace")
    assert result["verdict"] == "MISS", result
    assert [incident["kind"] for incident in incidents(result)] == ["boot", "damaged"]
    assert f"{rotten} is damaged" in incidents(result)[1]["detail"]
    assert sha256_of(rotten) != kernel.initrd_sha256  # the next session is not told the old story


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's guests run as that user")
def test_under_root_no_guest_runs_as_root(make_plan: MakePlan) -> None:
    who, why = account()
    if who is None:
        pytest.skip(why)
    plan = make_plan(HOLD)
    with running_plan(plan) as session:
        session.reach("delivered")
        (pid,) = qemus(plan).values()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        session.end()
        result = session.result("hold", "loopback")
    assert set(status["Uid"].split()) == {str(pwd.getpwnam(who.name).pw_uid)}
    assert "0" not in {*status["Gid"].split(), *status["Groups"].split()}
    assert int(status["CapEff"], 16) == 0
    assert status["Seccomp"].strip() == "2"
    assert result["verdict"] == "FAIL", result
    captures = [path for path in (plan.folder / "pairs").rglob("*") if path.is_file()]
    assert captures
    assert {path.stat().st_uid for path in captures} == {0}
    assert not qemus(plan)
