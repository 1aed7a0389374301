# SPDX-License-Identifier: GPL-2.0-only
"""An experiment that lies elsewhere, as `lab new` writes it: by `lab run` and by pytest, and judged again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.host.paths import SUITES
from tests.extend import OWN, written
from tests.vm.sessions import running

LAB = str(Path(sys.executable).with_name("lab"))
SUBJECT = ("--kernel", "6.12", "--nic", "loopback")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / "own"
    subprocess.run([LAB, "new", "experiment", str(folder)], check=True)
    return folder


def judged(results: Path, own: Path, case: str = "first") -> list[dict[str, object]]:
    """What `lab judge` says of all that a session left."""
    argv = [LAB, "judge", "--json", *map(str, results.glob(f"*/{case}.*"))]
    said = subprocess.run(argv, env={**os.environ, SUITES: str(own)}, capture_output=True, text=True, check=False)
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_lab_run_takes_its_folder(tmp_path: Path, own: Path) -> None:
    argv = [LAB, "run", str(own), *SUBJECT, "--results", str(tmp_path / "r")]
    with running(tmp_path, argv, log=tmp_path / "log") as session:
        assert session.end() == 0, session.text
    (run,) = judged(tmp_path / "r", own)
    assert (run["case"], run["verdict"], run["as_predicted"]) == ("first", "FAIL", True)


def test_pytest_takes_its_folder(tmp_path: Path, own: Path) -> None:
    argv = [sys.executable, "-m", "pytest", str(own), "-n", "1", "--lab-names", "first", *SUBJECT]
    with running(tmp_path, [*argv, "--results", str(tmp_path / "r")], log=tmp_path / "log") as session:
        assert session.end() == pytest.ExitCode.OK, session.text
    (run,) = judged(tmp_path / "r", own)
    assert run["as_predicted"] is True


@pytest.mark.parametrize("nic", ["loopback", "virtio"])
def test_it_may_bring_programs_of_its_own(tmp_path: Path, nic: str) -> None:
    """The second experiment of docs/extend.md: programs in C that no image has, in both guests."""
    folder = written(tmp_path / OWN, OWN)
    argv = [LAB, "run", str(folder), "--kernel", "6.12", "--nic", nic, "--results", str(tmp_path / "r")]
    with running(tmp_path, argv, log=tmp_path / "log") as session:
        assert session.end() == 0, session.text
    (run,) = judged(tmp_path / "r", folder, "kept")
    assert (run["case"], run["verdict"], run["as_predicted"]) == ("kept", "PASS", True)
    (bundle,) = (tmp_path / "r").glob("*/kept.*")
    plan, manifest = (json.loads(path.read_text()) for path in (bundle.parent / "plan.json", bundle / "manifest.json"))
    (layer,) = plan["layers"]
    assert (manifest["layer"], manifest["layer_sha256"]) == (layer["key"], layer["sha256"])
    assert f"lab.layer={layer['key']}" in manifest["pair"]["cmdline"].split()
    assert layer["path"] == f"cache:layers/{layer['key']}/layer.erofs"


def test_programs_that_do_not_build_are_told_before_anything_boots(tmp_path: Path) -> None:
    folder = written(tmp_path / OWN, OWN)
    (folder / "guest" / "taker.c").write_text("int main(void)\n{\n\treturn nothing;\n}\n")
    argv = [LAB, "run", str(folder), "--kernel", "6.12", "--nic", "loopback", "--results", str(tmp_path / "r")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{folder}/guest: taker.c does not build" in done.stderr
    assert "taker.c:3:" in done.stderr
    assert not list(tmp_path.glob("r/*/*"))
