# SPDX-License-Identifier: GPL-2.0-only
"""What a shell is told of a session."""

from __future__ import annotations

import pytest

from lab.cli.exits import AS_PREDICTED, LAB_FAILED, OTHER_VERDICT, code_of
from lab.report import RunResult
from lab.verdict.model import Word
from tests.unit.report.builder import dead, result

UNFORESEEN_SKIP = result(Word.SKIP, predicted="PASS")


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], AS_PREDICTED),
        ([result(Word.PASS), result(Word.FAIL), result(Word.ERROR)], AS_PREDICTED),
        ([result(Word.PASS), result(Word.FAIL, predicted="PASS")], OTHER_VERDICT),
        ([result(Word.PASS, predicted="FAIL")], OTHER_VERDICT),
        ([dead()], OTHER_VERDICT),
        ([result(Word.MISS, predicted="PASS"), result(Word.FAIL, predicted="PASS")], LAB_FAILED),
        ([result(Word.ERROR, predicted="PASS")], LAB_FAILED),
        ([result(Word.SKIP)], LAB_FAILED),
        ([UNFORESEEN_SKIP, result(Word.PASS)], AS_PREDICTED),
        ([UNFORESEEN_SKIP, result(Word.SKIP)], LAB_FAILED),
    ],
)
def test_the_exit_code_of_a_session(results: list[RunResult], code: int) -> None:
    assert code_of(results) == code
