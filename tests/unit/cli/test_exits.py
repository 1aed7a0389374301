# SPDX-License-Identifier: GPL-2.0-only
"""What a shell is told of a session."""

from __future__ import annotations

import pytest

from lab.cli.exits import AS_PREDICTED, BAD, GOOD, LAB_FAILED, OTHER_VERDICT, UNTESTABLE, code_for_bisect, code_of
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


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([result(Word.PASS), result(Word.SKIP)], GOOD),
        ([result(Word.PASS, predicted="FAIL"), result(Word.DONE)], GOOD),
        ([result(Word.FAIL)], BAD),
        ([result(Word.FAIL), result(Word.MISS), result(Word.ERROR)], BAD),
        ([dead()], BAD),
        ([result(Word.PASS), result(Word.ERROR)], UNTESTABLE),
        ([result(Word.PASS), result(Word.MISS)], UNTESTABLE),
        ([result(Word.SKIP)], UNTESTABLE),
        ([], UNTESTABLE),
    ],
)
def test_what_git_bisect_is_told_goes_by_what_was_measured(results: list[RunResult], code: int) -> None:
    assert code_for_bisect(results) == code


def test_a_run_that_was_lost_says_nothing_of_a_commit() -> None:
    assert code_for_bisect([result(Word.PASS)], lost=True) == UNTESTABLE
    assert code_for_bisect([result(Word.FAIL)], lost=True) == BAD
