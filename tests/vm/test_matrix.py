# SPDX-License-Identifier: GPL-2.0-only
"""A small real matrix from end to end: verdicts as predicted, reports there, the same word from a copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.archive.reports import judged
from lab.collect.bundle import read_bundle
from lab.evidence.bundle import parse
from tests.known import predicted
from tests.vm.conftest import MakePlan
from tests.vm.sessions import Json, Session, assert_judged_alike_elsewhere, running_plan

CASES = ("hold", "copy-control", "bytes-equal")
CELLS = (
    *((case, nic) for nic in ("e1000e-split", "virtio") for case in CASES),
    ("hold", "vmxnet3"),
    ("hold", "loopback"),
)
KEYS = {
    *("run", "kernel", "nic", "case", "verdict", "predicted", "findings", "ledger", "oom", "accelerator", "seconds"),
    "bundle",
}


@pytest.fixture(scope="module")
def matrix(make_plan: MakePlan) -> Iterator[Session]:
    with running_plan(make_plan(CELLS, pairs=2), workers=2) as session:
        session.end()
        yield session


def test_every_verdict_is_the_predicted_one(matrix: Session) -> None:
    assert matrix.process.returncode == 0, matrix.text
    words = {(r["case"], r["nic"]): (r["verdict"], r["predicted"]) for r in matrix.results}
    assert words == {(c, n): (predicted("stock", n, c).value,) * 2 for c, n in CELLS}


@pytest.mark.parametrize(
    ("case", "nic", "word"),
    [
        ("hold", "e1000e-split", "FAIL"),
        ("hold", "virtio", "FAIL"),
        ("hold", "loopback", "FAIL"),
        ("hold", "vmxnet3", "ERROR"),
        ("copy-control", "virtio", "PASS"),
        ("bytes-equal", "e1000e-split", "PASS"),
    ],
)
def test_the_words_are_these(matrix: Session, case: str, nic: str, word: str) -> None:
    result = matrix.result(case, nic)
    assert result["verdict"] == word, [f for f in result["findings"] if f["word"] != "PASS"]


@pytest.mark.parametrize("nic", ["e1000e-split", "virtio"])
def test_the_escape_is_three_times_the_limit(matrix: Session, nic: str) -> None:
    ledger = matrix.result("hold", nic)["ledger"]
    assert ledger["escape"] >= 3 * ledger["limit"]


@pytest.mark.parametrize(("case", "nic"), CELLS)
def test_a_line_of_results_has_the_agreed_keys(matrix: Session, case: str, nic: str) -> None:
    result = matrix.result(case, nic)
    assert result.keys() >= KEYS
    assert result["seconds"].keys() >= {"provision", "drive", "collect"}
    if nic != "vmxnet3":
        assert result["ledger"].keys() >= {"held", "charged", "escape", "gone", "limit"}
        assert result["oom"].keys() >= {"outcome", "victims"}


@pytest.mark.parametrize(("case", "nic"), CELLS)
def test_a_copy_elsewhere_is_judged_alike(matrix: Session, case: str, nic: str, tmp_path: Path) -> None:
    assert_judged_alike_elsewhere(matrix.result(case, nic), tmp_path)


def test_a_bundle_that_was_altered_is_no_pass(matrix: Session, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(Path(matrix.result("bytes-equal", "virtio")["bundle"]), tmp_path / "b"))
    log = copy / "clients" / "hold.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert judged(copy, "b").verdict.word.value == "ERROR"


@pytest.mark.parametrize(("case", "nic"), [("hold", "e1000e-split"), ("hold", "virtio"), ("hold", "loopback")])
def test_nothing_moves_between_the_samples_around_a_checkpoint(matrix: Session, case: str, nic: str) -> None:
    evidence = parse(read_bundle(Path(matrix.result(case, nic)["bundle"])))
    held, let_go = evidence.receiver.checkpoint("held"), evidence.clients["abuser"].last("released")
    holding = evidence.clients["abuser"].last("holding")
    assert held
    assert let_go
    assert holding
    times = [sample.t for sample in evidence.receiver.samples]
    assert any(holding.t <= t <= held.t for t in times)
    # `released` is said when all is given back; the charge starts to fall a little earlier, but after this sample.
    assert any(held.t < t < let_go.t for t in times)


def test_reports_lie_beside_the_bundles(matrix: Session) -> None:
    for name in ("report.html", "junit.xml", "results.ktap"):
        assert (matrix.folder / name).stat().st_size > 0, name
    assert f"1..{len(CELLS)}" in (matrix.folder / "results.ktap").read_text()
    assert all((Path(r["bundle"]) / "curve.svg").exists() for r in matrix.results)


def pairs_of(session: Session, nic: str) -> list[Json]:
    """What the manifests of a NIC's runs say of their pairs."""
    bundles = [Path(r["bundle"]) for r in session.results if r["nic"] == nic]
    return [json.loads((b / "manifest.json").read_text())["pair"] for b in bundles]


def test_the_pairs_of_one_nic_came_from_one_state(matrix: Session) -> None:
    pairs = pairs_of(matrix, "virtio")
    assert len(pairs) == len(CASES)
    assert len({p["warm"] for p in pairs}) == 1
    assert all(p["warm"] for p in pairs), [p["note"] for p in pairs]


def test_cold_runs_share_a_pair_and_say_the_same(matrix: Session, make_plan: MakePlan) -> None:
    cells = [(case, "e1000e-split") for case in CASES]
    with running_plan(make_plan(cells, cold=True)) as cold:
        cold.end()
    words = {r["case"]: r["verdict"] for r in cold.results}
    assert words == {case: matrix.result(case, "e1000e-split")["verdict"] for case in CASES}
    pairs = pairs_of(cold, "e1000e-split")
    assert sorted(p["runs_before"] for p in pairs) == [0, 1, 2]
    assert len({p["id"] for p in pairs}) == 1
    assert {p["warm"] for p in pairs} == {""}
