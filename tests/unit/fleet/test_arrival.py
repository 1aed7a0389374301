# SPDX-License-Identifier: GPL-2.0-only
"""Bundles where they arrive: each is judged again, counts once, and is evidence for its own run only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.archive.reports import told
from lab.fleet.arrival import take
from lab.fleet.batch import RESULT
from lab.host.records import write_record
from lab.plan.session import SessionPlan
from tests.unit.fleet.made import INTERRUPTED, bundle_of, plan_in


@pytest.fixture
def plan(tmp_path: Path) -> SessionPlan:
    (tmp_path / "s1").mkdir()
    return plan_in(tmp_path / "s1", ("hold",))


def test_what_arrives_is_judged_and_becomes_a_run_of_the_session(plan: SessionPlan, tmp_path: Path) -> None:
    run, sent = plan.runs[0], tmp_path / "sent"
    bundle_of(plan, run, sent)
    taken = take(plan, plan.runs, sent)
    assert {name: result.verdict.word.value for name, result in taken.counted.items()} == {run.id: "FAIL"}
    assert not taken.refused
    assert not taken.lies
    assert not (sent / run.id).exists()
    assert told(plan.folder / run.id, run.id).verdict.word.value == "FAIL"


def test_a_hosts_word_for_a_verdict_is_not_taken(plan: SessionPlan, tmp_path: Path) -> None:
    run, sent = plan.runs[0], tmp_path / "sent"
    bundle = bundle_of(plan, run, sent)
    (bundle / "verdict.json").write_text(json.dumps({"verdict": "PASS", "judgement": {"verdict": {"word": "PASS"}}}))
    (bundle / "curve.svg").write_text("<script>alert(1)</script>")
    write_record(sent / RESULT, {"runs": {run.id: {"word": "PASS"}}})
    taken = take(plan, plan.runs, sent)
    assert taken.counted[run.id].verdict.word.value == "FAIL"
    assert taken.lies == [f"{run.id}: the host says PASS, its evidence FAIL"]
    assert json.loads((plan.folder / run.id / "verdict.json").read_text())["verdict"] == "FAIL"
    assert not (plan.folder / run.id / "curve.svg").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "another"},
        {"session": "another"},
        {"case": "release"},
        {"nic": "vmxnet3"},
        {"repeat": 1},
        {"predicted": "PASS"},
        {"predicted": "SKIP"},
        {"kernel": {"name": "k", "release": "6.12.0-lab", "design": "stock", "sha256": "0" * 64, "config_sha256": ""}},
    ],
)
def test_evidence_of_another_run_is_none_for_this_one(
    plan: SessionPlan, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = plan.runs[0]
    bundle_of(plan, run, tmp_path / "sent", **changes)
    taken = take(plan, plan.runs, tmp_path / "sent")
    assert not taken.counted
    assert "evidence of another run" in taken.refused[run.id]
    assert not (plan.folder / run.id).exists()


def test_a_run_counts_once(plan: SessionPlan, tmp_path: Path) -> None:
    run = plan.runs[0]
    for name in ("first", "second"):
        bundle_of(plan, run, tmp_path / name, started=name)
    assert run.id in take(plan, plan.runs, tmp_path / "first").counted
    again = take(plan, plan.runs, tmp_path / "second")
    assert not again.counted
    assert again.refused == {run.id: "the run is there already"}
    assert (tmp_path / "second" / run.id / "manifest.json").exists()
    assert told(plan.folder / run.id, run.id).manifest.started == "first"


def test_what_comes_of_an_attempt_that_was_given_up_is_kept_and_not_counted(plan: SessionPlan, tmp_path: Path) -> None:
    run = plan.runs[0]
    bundle_of(plan, run, tmp_path / "late")
    taken = take(plan, plan.runs, tmp_path / "late", given_up=True)
    assert not taken.counted
    assert (tmp_path / "late" / run.id / "manifest.json").exists()
    assert not (plan.folder / run.id).exists()


def test_an_interrupted_run_counts_only_when_the_session_is_interrupted(plan: SessionPlan, tmp_path: Path) -> None:
    run = plan.runs[0]
    bundle_of(plan, run, tmp_path / "sent", incidents=INTERRUPTED)
    assert take(plan, plan.runs, tmp_path / "sent").refused == {run.id: "it was interrupted"}
    assert take(plan, plan.runs, tmp_path / "sent", interrupted=True).counted[run.id].verdict.word.value == "MISS"
    bundle_of(plan, run, tmp_path / "again")  # resumed
    assert take(plan, plan.runs, tmp_path / "again").counted[run.id].verdict.word.value == "FAIL"
    assert (plan.folder / f"{run.id}.lost-1").is_dir()


def test_damaged_evidence_is_never_a_pass_or_a_fail(plan: SessionPlan, tmp_path: Path) -> None:
    run = plan.runs[0]
    bundle = bundle_of(plan, run, tmp_path / "sent")
    (bundle / "receiver" / "console.log").write_bytes(b"altered on the way")
    assert take(plan, plan.runs, tmp_path / "sent").counted[run.id].verdict.word.value == "ERROR"
    (bundle_of(plan, plan.runs[1], tmp_path / "sent") / "manifest.json").write_bytes(b"{")
    assert plan.runs[1].id in take(plan, plan.runs, tmp_path / "sent").refused
