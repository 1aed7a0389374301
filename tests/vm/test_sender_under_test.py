# SPDX-License-Identifier: GPL-2.0-only
"""An experiment whose clients, cgroups and checkpoints are in the sender: on a NIC that can, and on one that cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import MakePlan
from tests.vm.sessions import Session, assert_judged_alike_elsewhere, running_plan

pytest.importorskip("suites.tx_zerocopy")

ABLE, UNABLE = "e1000e-split", "virtio"
CASES = ("double-accounting", "completion", "exit-in-flight", "tx-copy-control")
CELLS = (*((case, ABLE) for case in CASES), ("completion", UNABLE))


@pytest.fixture(scope="module")
def session(make_plan: MakePlan) -> Iterator[Session]:
    with running_plan(make_plan(CELLS, pairs=1), workers=1) as running:
        running.end()
        yield running


def test_every_verdict_is_the_predicted_one(session: Session) -> None:
    assert session.process.returncode == 0, session.text
    words = {(r["case"], r["nic"]): (r["verdict"], r["predicted"]) for r in session.results}
    assert words == {(case, nic): ("PASS" if nic == ABLE else "ERROR",) * 2 for case, nic in CELLS}


@pytest.mark.parametrize("case", CASES)
def test_what_is_counted_is_the_senders(session: Session, case: str) -> None:
    bundle = Path(session.result(case, ABLE)["bundle"])
    assert json.loads((bundle / "manifest.json").read_text())["tested"] == "sender"
    held = {
        role: next(
            (line for line in (bundle / role / "checkpoints.jsonl").read_text().splitlines() if '"held"' in line), ""
        )
        for role in ("sender", "receiver")
    }
    assert json.loads(held["sender"])["cg"].keys() >= {"sender"}
    assert not held["receiver"]
    assert (bundle / "receivers" / "sender.jsonl").read_text()


@pytest.mark.parametrize(("case", "nic"), CELLS)
def test_a_copy_elsewhere_is_judged_alike(session: Session, case: str, nic: str, tmp_path: Path) -> None:
    assert_judged_alike_elsewhere(session.result(case, nic), tmp_path)


def test_a_copying_nic_is_told_before_any_traffic(session: Session) -> None:
    (finding,) = (f for f in session.result("completion", UNABLE)["findings"] if f["word"] == "ERROR")
    assert finding["rule"] == "preflight"
    assert "was sent without a copy" in finding["message"]
