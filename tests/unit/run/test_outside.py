# SPDX-License-Identifier: GPL-2.0-only
"""Experiments that lie elsewhere: named by their folder, found, collected, and refused with a reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from lab.cli import assembled
from lab.errors import BadInput
from lab.evidence.bundle import parse
from lab.experiments import found
from lab.experiments.found import all_cases, as_typed, case_named, find_case
from lab.host.paths import SUITES, suites_dir
from lab.plan.commands import LAYER
from lab.plan.matrix import expand
from lab.plan.session import PLAN_FILE, SessionPlan
from lab.session.plugin import item_name
from lab.session.start_engine import pytest_argv
from lab.session.suites import with_folders
from tests.extend import OWN, written
from tests.known import judge
from tests.unit.run.plans import kernel, planned
from tests.unit.verdict.builder import story

pytest_plugins = ["pytester"]

CASE = "hold-little"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The experiment of docs/extend.md, which nobody has named yet."""
    monkeypatch.setenv(SUITES, "")
    yield written(tmp_path / "my-suite")
    monkeypatch.setenv(SUITES, "")
    found.forget()


def test_a_folder_is_all_its_cases_and_a_colon_chooses_one(folder: Path) -> None:
    assert CASE not in all_cases()
    assert with_folders([str(folder)]) == (CASE,)
    assert with_folders(["hold", f"{folder}:{CASE}"]) == ("hold", CASE)
    assert (as_typed(CASE), as_typed("hold")) == (f"lab run {folder}:{CASE}", "lab run hold")
    assert case_named(CASE).expect["stock"].value == "FAIL"


def test_a_case_may_be_called_like_a_path_and_is_repeated_by_its_own_command() -> None:
    assert with_folders(["net/tcp_mmap"]) == ("net/tcp_mmap",)
    assert as_typed("net/tcp_mmap") == "lab selftest net/tcp_mmap"
    assert as_typed("demo/it.sh") == "lab selftest demo/it.sh"
    assert [find_case(name) for name in ("no-such-case", "../x", "/x", "a//b", "x/..")] == [None] * 5
    with pytest.raises(BadInput, match=r"'\.\./x' is not a case"):
        case_named("../x")


def test_a_folder_of_this_checkout_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not a second experiment with the same cases."""
    monkeypatch.setenv(SUITES, "")
    here, known = suites_dir() / "rx_zerocopy", found.all_experiments()["rx_zerocopy"].cases
    assert with_folders([str(here)]) == tuple(known)
    assert with_folders([f"{here}:hold"]) == ("hold",)
    assert not os.environ[SUITES]


def test_what_cannot_be_had_is_told_with_the_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="unknown case 'hold-litle'; did you mean hold-little"):
        with_folders([f"{folder}:hold-litle"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: no experiment: it needs __init__\.py and experiment\.py"):
        with_folders([str(tmp_path / "empty")])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("cases/hold_little.py", "import nosuchmodule", "ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("experiment.py", "EXPERIMENT =", "SyntaxError"),
        ("experiment.py", "EXPERIMENT = 1", "EXPERIMENT is no lab.experiments.contract.Experiment"),
        ("experiment.py", "", "AttributeError"),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_bad_input(folder: Path, name: str, text: str, told: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        with_folders([str(folder)])
    assert str(folder) in str(caught.value)
    assert told in str(caught.value)


def test_a_case_with_a_name_that_is_taken_is_refused(folder: Path) -> None:
    case = folder / "cases" / "hold_little.py"
    case.write_text(case.read_text().replace("def hold_little", "def hold"))
    with pytest.raises(BadInput, match=rf"rx_zerocopy and {folder} both have the case hold\n"):
        with_folders([str(folder)])


def test_an_experiment_of_another_checkout_is_one_problem_however_many_cases_it_has(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(suites_dir() / "rx_zerocopy", folder)
    with pytest.raises(BadInput) as caught:
        with_folders([f"{folder}:hold"])
    (problem,) = caught.value.problems
    assert "both have" in problem
    assert len(problem) < len(str(folder)) + 120
    assert "its own lab" in caught.value.hint


def test_its_rules_judge(folder: Path) -> None:
    with_folders([str(folder)])
    told = story("hold")
    told.manifest |= {"case": CASE}
    verdict = judge(parse(told.files()))
    assert {f.rule for f in verdict.findings} >= {"billed", "exercised"}


def test_pytest_collects_what_is_planned(folder: Path, pytester: pytest.Pytester, plan: SessionPlan) -> None:
    result = pytester.runpytest_inprocess(
        str(folder), "--lab-plan", str(plan.folder / PLAN_FILE), "--collect-only", "-q"
    )
    lines = [line.split("::")[1] for line in result.outlines if "::" in line]
    assert lines == [item_name(run) for run in plan.runs]


def test_what_lab_new_writes_is_found_and_runs_as_it_is(folder: Path, tmp_path: Path) -> None:
    own, run = tmp_path / "own", CliRunner()
    for argv in (["new", "experiment", str(own)], ["new", "case", "second-one", "--in", str(own)]):
        assert run.invoke(assembled(), argv).exit_code == 0
    assert with_folders([str(own)]) == ("first", "second-one")
    told = story("hold")
    told.manifest |= {"case": "second-one"}
    assert {f.rule for f in judge(parse(told.files())).findings} >= {"billed", "exercised"}


def test_an_installed_experiment_is_known_without_its_folder(
    folder: Path, plan: SessionPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = found.all_experiments()[str(folder)]
    point = SimpleNamespace(name="theirs", load=lambda: installed)
    monkeypatch.setenv(SUITES, "")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == "lab.experiments" else [])
    found.forget()
    assert as_typed(CASE) == f"lab run {CASE}"
    assert pytest_argv(plan)[0] == str(folder / "cases" / "hold_little.py")


def test_an_experiment_with_programs_of_its_own_is_found_and_says_where_they_are(folder: Path, tmp_path: Path) -> None:
    own = written(tmp_path / OWN, OWN)
    assert with_folders([str(own)]) == ("kept",)
    traffic = case_named("kept").traffic
    assert traffic is not None
    assert traffic.programs == own / "guest"
    assert {path.name for path in traffic.programs.iterdir()} == {"taker.c", "giver.c"}
    assert traffic.client(case_named("kept").clients[0], 5001, 0)[0] == f"{LAYER}/taker"


@pytest.fixture
def plan(folder: Path, tmp_path: Path) -> SessionPlan:
    """One run of its case; on disk."""
    with_folders([str(folder)])
    runs = expand("s", [("k", "stock")], ["virtio"], [case_named(CASE)], 1)
    return planned(tmp_path, [kernel("k")], runs)
