# SPDX-License-Identifier: GPL-2.0-only
"""`lab run`: what is to be run again, what would be run, and which options make no sense beside each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.archive.reports import stored_plan
from lab.cli.running import BESIDE, close, refuse
from lab.errors import BadInput
from lab.host.paths import cache_root
from lab.kernels.catalogue import LocalKernel
from lab.plan.learnt import Learnt, Lesson, duration_key, learn
from lab.plan.order import running_order, seconds_left
from lab.plan.session import PLAN_FILE, dump
from lab.session import foresee, prepare
from lab.session.again import again
from lab.session.conduct import Conducted, Stop
from lab.spec.request import SessionRequest
from lab.units import seconds_of
from lab.verdict.model import Word
from tests.known import expand
from tests.unit.cli.conftest import Lab, write_run, write_session
from tests.unit.report import builder
from tests.unit.verdict.machine import KERNELS

NAME = "20260101-000000-aaaa"
WANTED = ["release", "hold", "bystander", "copy-control"]


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A session of four runs: a PASS as predicted, a FAIL that is not, one that left nothing, another PASS."""
    folder, bundles = write_session(tmp_path / "results", NAME, tuple(WANTED))
    write_run(bundles[1], "hold", predicted="PASS", kernel=KERNELS["stock"])
    (bundles[2] / "manifest.json").unlink()
    return folder


def test_what_failed_or_left_nothing_is_run_again(failed: Path) -> None:
    found = again(failed, SessionRequest(pairs=2))
    assert found is not None
    assert (found.request.names, found.request.kernels) == (("hold", "bystander"), ("k",))
    assert (found.request.nics, found.request.pairs) == (("e1000e-split",), 2)
    planned = expand("new", [("k", "stock")], ["e1000e-split", "virtio"], WANTED, 2)
    meant = {(run.case, run.kernel, run.nic, run.repeat) for run in planned if found.wanted(run)}
    assert meant == {(case, "k", "e1000e-split", 0) for case in ("hold", "bystander")}


def test_of_several_kernels_each_gets_what_failed_on_it_whatever_it_is_called_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = write_session(tmp_path, NAME, ("hold",))
    plan = stored_plan(folder)
    old, new = (replace(plan.kernels[0], name=name, asked=f"~/{name}") for name in ("old", "new"))
    (one,) = plan.runs
    runs = (replace(one, kernel="old", case="release"), replace(one, kernel="new", case="hold"))
    (folder / PLAN_FILE).write_bytes(dump(replace(plan, kernels=(old, new), runs=runs), cache_root()))
    monkeypatch.setattr(
        "lab.session.again.resolve", lambda names: [LocalKernel(f"{names[0][2:]}-2", Path(), None, "", "stock")]
    )
    found = again(folder, SessionRequest())
    assert found is not None
    assert found.request.kernels == ("~/old", "~/new")
    planned = expand("s", [("old-2", "stock"), ("new-2", "stock")], ["e1000e-split"], ["hold", "release"], 1)
    assert [(run.case, run.kernel) for run in planned if found.wanted(run)] == [("release", "old-2"), ("hold", "new-2")]


def test_the_same_may_be_asked_of_another_kernel(failed: Path) -> None:
    found = again(failed, SessionRequest(kernels=("other",)))
    assert found is not None
    assert found.request.kernels == ("other",)
    planned = expand("new", [("other", "stock")], ["e1000e-split"], WANTED, 1)
    assert [run.case for run in planned if found.wanted(run)] == ["hold", "bystander"]


def test_a_session_in_which_nothing_failed_is_not_run_again(lab: Lab, tmp_path: Path) -> None:
    write_session(tmp_path / "results", NAME, ("release",))
    told = lab("run", "--rerun-failed")
    assert (told.exit_code, told.stdout) == (0, f"nothing to run again: all of {NAME} is as predicted\n")


@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hold", "--nic", "virtio", "--repeat", "2"], ["3 problems", "no suites or cases", "no --nic", "no --repeat"]),
        (["--of", "nosuch"], ["no run or session 'nosuch'"]),
    ],
)
def test_who_says_what_to_run_does_not_mean_what_failed(lab: Lab, words: list[str], said: list[str]) -> None:
    told = lab("run", "--rerun-failed", *words)
    assert told.exit_code == 2
    assert all(text in told.stderr for text in said)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, 0),
        ({"--rerun-failed", "--of", "--dry-run", "--expect"}, 0),
        ({"--hosts", "--resume"}, 0),
        ({"--resume"}, 1),
        ({"--of"}, 1),
        ({"--dry-run", "--hosts", "--resume", "--expect", "--rerun-failed"}, 4),
        ({"--for-bisect", "--expect"}, 1),
    ],
)
def test_options_that_make_no_sense_together_are_told_at_once(given: set[str], problems: int) -> None:
    options = {*BESIDE, "--hosts", "--expect"}
    told: list[str] = []
    try:
        refuse({option: option in given for option in options})
    except BadInput as exc:
        told = list(exc.problems)
    assert len(told) == problems


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90min", 5400), ("1.5 m", 90), ("30s", 30), ("7", 7), ("-1", None), ("", None)]
)
def test_times_are_written_as_people_do(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-3s", "inf", "nan"])
def test_a_time_that_is_none_is_refused(lab: Lab, text: str, tmp_path: Path) -> None:
    told = lab("run", "hold", "--timeout", text)
    assert told.exit_code == 2
    assert f"--timeout {text!r}" in told.stderr
    assert not (tmp_path / "results").exists()


def test_a_word_that_no_run_can_be_expected_to_get_is_refused(lab: Lab) -> None:
    told = lab("run", "hold", "--expect", "MISS")
    assert told.exit_code == 2
    assert "--expect 'MISS' is none of PASS, FAIL, ERROR, DONE" in told.stderr


@pytest.mark.parametrize(
    ("stop", "word", "code", "said"),
    [
        (None, Word.PASS, 3, "2 of 3 runs left no bundle"),
        (Stop("600 s are over"), Word.PASS, 3, "2 of 3 runs were not begun: 600 s are over"),
        (Stop("600 s are over"), Word.FAIL, 3, "not begun"),
        (Stop("x is FAIL", verdict=True), Word.FAIL, 1, "2 of 3 runs were not begun: x is FAIL"),
        (Stop("x is MISS", verdict=True), Word.MISS, 3, "not begun"),
    ],
)
def test_what_was_not_run_is_said_and_no_success(
    stop: Stop | None, word: Word, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = write_session(tmp_path, NAME, ("hold", "release", "bystander"))
    plan = stored_plan(folder)
    result = builder.result(word, "hold")
    told = SimpleNamespace(
        manifest=SimpleNamespace(run=plan.runs[0].id), verdict=result.verdict, disagrees=word != "PASS"
    )
    session: Any = SimpleNamespace(results=(told,), tried=True)
    assert close(Conducted(plan, False, {}, stop), session, as_json=True) == code
    assert said in capsys.readouterr().err


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that somebody built; nobody is asked for another one, and nothing can be made."""

    def never(*_: object, **__: object) -> None:
        pytest.fail("a dry run makes nothing")

    kernel = LocalKernel("plain", Path("/plain"), None, "plain", "stock")
    monkeypatch.setattr(prepare, "resolve", lambda _: (kernel,))
    for name in ("ensure_image", "ensure_layer", "make_bootable", "connect", "prove", "ensure_settings"):
        monkeypatch.setattr(prepare, name, never)


@pytest.mark.usefixtures("plain")
def test_a_dry_run_says_what_would_be_run_and_writes_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    words = ("run", "hold", "release", "--nic", "virtio", "--kernel", "plain", "--repeat", "2", "-n", "1", "--dry-run")
    told = lab(*words)
    assert told.exit_code == 0, told.output
    assert "hold          virtio        plain  predicted FAIL  x2" in told.stdout
    assert "4 runs, 1 at once (as asked)" in told.stdout
    assert "4 of them never measured here" in told.stdout
    rows = [json.loads(line) for line in lab(*words, "--json").stdout.splitlines()]
    assert sorted((row["case"], row["repeat"], row["predicted"]) for row in rows) == [
        ("hold", 0, "FAIL"), ("hold", 1, "FAIL"), ("release", 0, "PASS"), ("release", 1, "PASS")
    ]  # fmt: skip
    assert {
        json.loads(line)["predicted"] for line in lab(*words, "--json", "--expect", "pass").stdout.splitlines()
    } == {"PASS"}
    assert list(tmp_path.iterdir()) == []
    assert lab("run", "nosuch", "--nic", "nosuch", "--dry-run").exit_code == 2


@pytest.mark.usefixtures("plain")
def test_a_dry_run_reckons_by_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    lesson = Lesson("s", "", 1, ((duration_key("hold", "virtio", "given", "kvm"), 100.0),), None)
    request = SessionRequest(names=("hold",), nics=("virtio",), kernels=("plain",), pairs=1)
    monkeypatch.setattr(foresee, "load_learnt", lambda: learn(Learnt(), lesson))
    seen = foresee.foresee(request)
    assert (seen.way, seen.measured) == ("kvm", 1)
    assert 100 < seen.seconds < 115
    monkeypatch.setattr(foresee, "load_learnt", Learnt)
    assert foresee.foresee(request).seconds < 100


def test_what_is_left_of_a_plan_shrinks_with_each_run() -> None:
    runs = running_order(expand("s", [("k", "stock")], ["virtio", "e1000e"], ["hold", "release"], 1), 1)
    left = [seconds_left(runs, [run.id for run in runs[:n]], 1, lambda _: 10.0) for n in range(len(runs) + 1)]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == len(left)
    assert left[-1] == 0
    assert left[0] == sum(run.seconds for run in runs) + 10.0 * len({run.batch for run in runs})
