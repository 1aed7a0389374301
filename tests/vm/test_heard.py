# SPDX-License-Identifier: GPL-2.0-only
"""The lab's own ears: an unheard console is no health, and a kernel that warned unheard is told by its taint."""

from __future__ import annotations

import pytest

from tests.vm.conftest import MakePlan
from tests.vm.sessions import Json, run_script

HOLD = [("hold", "loopback")]


def said(result: Json, rule: str) -> list[tuple[str, str]]:
    return [(f["word"], f["message"]) for f in result["findings"] if f["rule"] == rule]


@pytest.mark.parametrize(
    ("script", "message"),
    [("deaf", "does not show the canary of `after`"), ("skipped", "lines for the console between the canaries")],
)
def test_a_console_that_was_not_heard_is_no_health(make_plan: MakePlan, script: str, message: str) -> None:
    result = run_script(make_plan(HOLD), script)
    ((word, why),) = said(result, "heard")
    assert (result["verdict"], word) == ("ERROR", "ERROR"), result
    assert message in why


def test_a_kernel_that_warned_unheard_has_failed(make_plan: MakePlan) -> None:
    result = run_script(make_plan(HOLD), "tainted")
    assert result["verdict"] == "FAIL", result
    assert any(word == "FAIL" and "tainted W" in why for word, why in said(result, "kernel-alive")), result
