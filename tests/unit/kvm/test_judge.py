# SPDX-License-Identifier: GPL-2.0-only
"""What counts as seen under KVM, and what does not."""

from __future__ import annotations

from typing import Any

from tests.kvm.judge import judge, read_lines
from tests.kvm.steps import Step

RUNS = Step("fast", ("lab", "run", "fast"), 900, runs=2)
DOCTOR = Step("doctor", ("lab", "doctor"), 300)
PROVED = "accelerator  ok  KVM: a guest with 6.12 booted under it\n"


def ended(step: Step, status: int = 0) -> list[dict[str, Any]]:
    return [{"begun": step.name}, {"ended": step.name, "status": status, "seconds": 12.5}]


def run(**changes: object) -> dict[str, Any]:
    return {"case": "hold", "verdict": "FAIL", "as_predicted": True, "accelerator": "kvm", **changes}


def test_runs_under_kvm_as_predicted_are_good() -> None:
    outcome = judge(RUNS, ended(RUNS), [run(), run(case="copy-control", verdict="PASS")], "")
    assert (outcome.problem, outcome.seconds, outcome.told) == ("", 12.5, "hold FAIL, copy-control PASS")


def test_a_run_under_another_accelerator_is_bad() -> None:
    assert "not under KVM" in judge(RUNS, ended(RUNS), [run(), run(accelerator="tcg")], "").problem


def test_a_run_that_is_missing_is_bad() -> None:
    assert "1 runs" in judge(RUNS, ended(RUNS), [run()], "").problem


def test_another_word_than_predicted_is_bad() -> None:
    assert "1 not as predicted" in judge(RUNS, ended(RUNS), [run(), run(as_predicted=False)], "").problem


def test_runs_without_a_word_on_prediction_are_bad() -> None:
    assert judge(RUNS, ended(RUNS), [run(), {}], "").problem


def test_an_exit_status_is_told_with_the_last_words() -> None:
    assert judge(DOCTOR, ended(DOCTOR, 3), [], f"{PROVED}no\n\n").problem == "exit status 3: no"


def test_a_step_that_took_too_long_is_bad() -> None:
    assert "not done after 300 s" in judge(DOCTOR, ended(DOCTOR, 124), [], PROVED).problem


def test_a_step_without_an_end_is_bad() -> None:
    assert judge(DOCTOR, [{"begun": "doctor"}], [], PROVED).problem == "it did not end"


def test_a_doctor_that_fell_back_is_bad_though_it_ended_well() -> None:
    told = "accelerator  warn  TCG: a guest did not boot under KVM\n"
    assert "did not boot a guest under KVM" in judge(DOCTOR, ended(DOCTOR), [], told).problem
    assert judge(DOCTOR, ended(DOCTOR), [], PROVED).problem == ""


def test_what_the_emulator_cannot_do_is_told_and_decides_nothing() -> None:
    step = Step("pair", ("lab", "run"), 900, runs=1, cannot="no interrupts of the second guest")
    outcome = judge(step, ended(step, 3), [], "no boot")
    assert not outcome.decides
    assert str(outcome).startswith("cannot")
    assert "no interrupts of the second guest" in str(outcome)


def test_lines_that_are_cut_or_no_objects_count_for_nothing() -> None:
    assert read_lines('{"ended": "doctor"}\n[1]\n{"ended": "fa') == [{"ended": "doctor"}]


def test_what_a_guest_says_is_shown_clean() -> None:
    outcome = judge(RUNS, ended(RUNS), [run(verdict="\x1b[2J"), run()], "")
    assert "\x1b" not in str(outcome)
