# SPDX-License-Identifier: GPL-2.0-only
"""An order on its host, as far as that needs no guest: the doctor's reasons, and what is not done twice."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lab.fleet import examine
from lab.fleet.batch import DONE, RESULT, TRY_ELSEWHERE, execute, is_done
from lab.fleet.orders import WorkOrder, batches
from lab.host.records import load_record
from lab.session.conduct import Listener
from tests.unit.fleet.made import INTERRUPTED, bundle_of, order_of, plan_in


def problems(order: WorkOrder, out: Path, **more: Any) -> str:  # noqa: ANN401
    return "\n".join(line for line in examine.examine(order, out, **more) if not line.startswith("QEMU"))


def test_a_host_that_can_do_it_has_no_reason_not_to(tmp_path: Path) -> None:
    order = order_of(plan_in(tmp_path))
    assert problems(order, tmp_path / "out", now=datetime.datetime.now(datetime.UTC)) == ""


def test_each_reason_why_a_host_should_not(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(plan_in(tmp_path))
    now = datetime.datetime.now(datetime.UTC)
    made = (now + datetime.timedelta(hours=1)).isoformat()
    assert re.search(r"clock: 3[56]\d\d s behind", problems(order.model_copy(update={"made": made}), tmp_path))
    assert re.search(r"clock: 3[67]\d\d s apart", problems(order, tmp_path, now=now - datetime.timedelta(hours=1)))
    assert "lab: the order comes from" in problems(order.model_copy(update={"lab_code": "0" * 64}), tmp_path)
    (cache / "kernels" / "k" / "initrd").write_bytes(b"something else")
    (cache / "kernels" / "k" / "image").unlink()
    told = problems(order, tmp_path)
    assert "artefacts" in told
    assert "k/initrd" in told
    assert "k/image" in told
    assert "k/boot" not in told
    monkeypatch.setattr(examine, "ROOM_MIB", 1 << 40)
    assert "disk: " in problems(order, tmp_path)


def test_trouble_of_the_host_is_told_in_the_result_and_tried_again(tmp_path: Path) -> None:
    order = order_of(plan_in(tmp_path)).model_copy(update={"lab_code": "0" * 64})
    outcome = execute(order, tmp_path / "out", Listener())
    assert outcome.code == TRY_ELSEWHERE
    told = load_record(tmp_path / "out" / RESULT)
    assert (told["code"], told["batch"], told["attempt"]) == (TRY_ELSEWHERE, order.batch, 1)
    assert any(reason.startswith("lab: ") for reason in told["trouble"])


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """No guest could be made of this plan's files: whoever tried would tell."""
    plan, out = plan_in(tmp_path), tmp_path / "out"
    order = order_of(plan)
    for run in next(iter(batches(plan).values())):
        bundle_of(plan, run, out)
    assert execute(order, out, Listener()).code == DONE
    told = load_record(out / RESULT)
    assert {fields["word"] for fields in told["runs"].values()} == {"FAIL", "PASS"}
    before = (out / RESULT).read_bytes()
    assert execute(order, out, Listener()).code == DONE
    assert (out / RESULT).read_bytes() == before


def test_a_run_that_was_interrupted_or_has_no_manifest_is_not_done(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    first, second, third, *_ = plan.runs
    assert is_done(bundle_of(plan, first, tmp_path))
    assert not is_done(bundle_of(plan, second, tmp_path, incidents=INTERRUPTED))
    manifest = bundle_of(plan, third, tmp_path) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-10])
    assert not is_done(tmp_path / third.id)
    assert not is_done(tmp_path / "nosuch")


def test_the_result_of_another_attempt_is_not_this_ones(tmp_path: Path) -> None:
    plan, out = plan_in(tmp_path), tmp_path / "out"
    for run in plan.runs:
        bundle_of(plan, run, out)
    execute(order_of(plan), out, Listener())
    assert execute(order_of(plan, attempt=2), out, Listener()).code == DONE
    assert json.loads((out / RESULT).read_bytes())["attempt"] == 2
