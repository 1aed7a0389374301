# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin: what it collects, in which order, and what it refuses. No guest is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.host.paths import suites_dir
from lab.plan.order import running_order
from lab.plan.session import PLAN_FILE, SessionPlan
from lab.session.plugin import item_name
from tests.known import expand
from tests.unit.run.plans import kernel, planned, written

pytest_plugins = ["pytester"]


@pytest.fixture
def plan(tmp_path: Path) -> SessionPlan:
    """Two kernels, two NIC profiles, three cases; on disk."""
    kernels = [kernel(name) for name in ("6.12.1+deb12-amd64", "6.1")]
    cells = [(k.name, "stock") for k in kernels], ["virtio", "loopback"], ["hold", "release", "bystander"]
    return planned(tmp_path, kernels, running_order(expand("s", *cells, 1)), pairs=2)


def collected(pytester: pytest.Pytester, plan: SessionPlan, *args: str) -> list[str]:
    """Names of the items of suites/, in order."""
    result = pytester.runpytest_inprocess(
        str(suites_dir()), "--lab-plan", str(plan.folder / PLAN_FILE), "--collect-only", "-q", *args
    )
    return [line.split("::")[1] for line in result.outlines if "::" in line]


def test_the_items_are_the_plans_runs_in_its_order(pytester: pytest.Pytester, plan: SessionPlan) -> None:
    assert collected(pytester, plan) == [item_name(run) for run in plan.runs]


def test_what_is_not_planned_is_not_collected(pytester: pytest.Pytester, plan: SessionPlan) -> None:
    one = written(replace(plan, runs=plan.runs[-1:]))
    assert collected(pytester, one) == [item_name(plan.runs[-1])]


def test_pytests_own_selection_works(pytester: pytest.Pytester, plan: SessionPlan) -> None:
    assert collected(pytester, plan, "-k", "release and loopback") == [
        item_name(run) for run in plan.runs if (run.case, run.nic) == ("release", "loopback")
    ]


def test_names_of_items_tell_repeats_apart(plan: SessionPlan) -> None:
    run = plan.runs[0]
    assert item_name(replace(run, repeat=2)) == f"{run.case}[{run.kernel}-{run.nic}-2]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--nic", "nosuch", "--lab-names", "holt"],
            ["*unknown suite or case 'holt'; did you mean hold?*", "*'nosuch'*"],
        ),
        (["--accel", "warp"], ["*--accel 'warp' is none of auto, kvm, tcg*"]),
    ],
)
def test_bad_options_are_told_together_before_anything_starts(
    pytester: pytest.Pytester, args: list[str], words: list[str]
) -> None:
    result = pytester.runpytest_inprocess(str(suites_dir()), *args, "--results", str(pytester.path / "r"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(words)
    result.stderr.no_fnmatch_line("*Traceback*")
    assert not (pytester.path / "r").exists()


def test_a_pytest_run_elsewhere_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_fine(): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*verdicts*")
