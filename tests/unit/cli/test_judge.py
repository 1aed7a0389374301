# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Lab, write_run, write_session
from tests.unit.selftests.told import captures, older
from tests.unit.verdict.machine import KERNELS

KEYS = {
    "run", "kernel", "nic", "case", "verdict", "predicted", "findings", "ledger", "oom", "accelerator", "seconds",
    "bundle",
}  # fmt: skip


def test_json_has_one_line_per_run_with_every_key(lab: Lab, tmp_path: Path) -> None:
    folder, bundles = write_session(tmp_path, "20260101-000000-aaaa", ("hold", "copy-control"))
    judged = lab("judge", folder, "--json")
    records = [json.loads(line) for line in judged.stdout.splitlines()]
    assert judged.exit_code == 0
    assert {r["bundle"] for r in records} == {str(b) for b in bundles}
    assert all(set(r) >= KEYS for r in records)
    assert set(records[0]["ledger"]) == {"held", "charged", "escape", "gone", "limit"}


def test_exit_code_1_for_another_verdict_and_the_findings_are_shown(lab: Lab, tmp_path: Path) -> None:
    bundle = write_run(tmp_path / "b", "hold", predicted="PASS", kernel=KERNELS["stock"])
    judged = lab("judge", bundle)
    assert judged.exit_code == 1
    assert judged.stdout.startswith("FAIL b: FAIL, predicted PASS")
    assert "billed" in judged.stdout


def test_exit_code_3_when_evidence_is_lost(lab: Lab, tmp_path: Path) -> None:
    bundle = write_run(tmp_path / "b", "hold")
    (bundle / "receiver" / "telemetry.jsonl").unlink()
    assert lab("judge", bundle).exit_code == 3


def test_all_problems_are_told_and_good_bundles_are_judged_all_the_same(lab: Lab, tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", "hold")
    (tmp_path / "empty").mkdir()
    judged = lab("judge", tmp_path / "absent", good, tmp_path / "empty", "--json")
    assert judged.exit_code == 2
    assert json.loads(judged.stdout)["verdict"] == "PASS"
    assert "2 problems" in judged.stderr
    assert "absent: there is no such folder" in judged.stderr
    assert "empty: neither a run nor a folder of runs" in judged.stderr


def test_a_folder_of_bundles_or_of_sessions_is_all_of_them(lab: Lab, tmp_path: Path) -> None:
    loose = [write_run(tmp_path / "loose" / name, "hold") for name in ("a", "b")]
    _, first = write_session(tmp_path / "results", "20260101-000000-aaaa", ("hold", "copy-control"))
    _, second = write_session(tmp_path / "results", "20260102-000000-aaaa", ("hold",))
    for folder, held in ((tmp_path / "loose", loose), (tmp_path / "results", [*sorted(first), *second])):
        judged = lab("judge", folder, "--json")
        assert [json.loads(line)["bundle"] for line in judged.stdout.splitlines()] == list(map(str, held))
        assert judged.exit_code == 0


def test_a_session_without_bundles_is_bad_input(lab: Lab, tmp_path: Path) -> None:
    folder, _ = write_session(tmp_path, "20260101-000000-aaaa", ())
    assert "has left no bundle" in lab("judge", folder).stderr


def test_it_needs_nothing_that_boots_a_machine(tmp_path: Path) -> None:
    bundle = write_run(tmp_path / "b", "hold")
    code = (
        "import sys\n"
        "for name in ('libvirt', 'libvirt_qemu', 'paramiko', 'ansible_runner'): sys.modules[name] = None\n"
        "import lab.cli; lab.cli.main()"
    )
    argv = [sys.executable, "-c", code, "judge", str(bundle), "--json"]
    judged = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["verdict"] == "PASS"


@pytest.mark.parametrize(("made", "record"), [(captures, "manifest.json"), (older, "selftest.json")])
def test_a_selftest_is_judged_again_and_an_altered_one_is_an_error(
    lab: Lab, tmp_path: Path, made: Callable[[bytes], dict[str, bytes]], record: str
) -> None:
    bundle = tmp_path / "session" / "demo.fails"
    for name, data in made(b"TAP version 13\n1..1\nnot ok 1 sum\n").items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(data)
    for folder in (bundle, bundle.parent) if made is older else (bundle,):  # of today's, a session has a plan
        told = lab("judge", folder)
        assert told.exit_code == 1
        assert "FAIL case: sum: not ok" in told.stdout
    (bundle / "output.log").write_bytes(b"TAP version 13\n1..1\nok 1 sum\n")
    told = lab("judge", "--json", bundle)
    assert told.exit_code == 3
    assert json.loads(told.stdout)["verdict"] == "ERROR"
    (bundle / record).write_text("{}")
    assert lab("judge", bundle).exit_code == 2
