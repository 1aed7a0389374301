# SPDX-License-Identifier: GPL-2.0-only
"""What leaves the lab, read by a tool that is not ours: the kernel's own reader of KTAP. Boots nothing."""

from __future__ import annotations

from types import ModuleType

import pytest

from lab.report import ktap
from lab.report.model import RunResult
from lab.verdict.model import Word
from tests.unit.report import builder
from tests.vm.test_ktap_oracle import oracle, tree  # noqa: F401 - fixtures


def counted(parser: ModuleType, *runs: RunResult) -> tuple[int, int, int, int]:
    """Passed, failed, skipped, and complaints, by kunit_parser."""
    counts = parser.parse_run_tests(ktap.render(builder.session(*runs)).splitlines()).counts
    return counts.passed, counts.failed + counts.crashed, counts.skipped, counts.errors


def test_it_counts_what_the_exit_status_says(oracle: ModuleType) -> None:  # noqa: F811
    runs = builder.full_session().results
    expected = [run for run in runs if not run.disagrees]
    passed = sum(run.verdict.word in (Word.PASS, Word.FAIL) for run in expected)
    assert counted(oracle, *runs) == (passed, len(runs) - len(expected), len(expected) - passed, 0)
    assert len(runs) > len(expected)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (builder.result(), (1, 0, 0, 0)),
        (builder.result(Word.FAIL), (1, 0, 0, 0)),
        (builder.result(Word.FAIL, predicted="PASS"), (0, 1, 0, 0)),
        (builder.result(Word.PASS, predicted="FAIL"), (0, 1, 0, 0)),
        (builder.result(Word.ERROR, predicted="PASS"), (0, 1, 0, 0)),
        (builder.result(Word.ERROR), (0, 0, 1, 0)),
        (builder.result(Word.MISS, predicted="PASS"), (0, 1, 0, 0)),
        (builder.result(Word.SKIP), (0, 0, 1, 0)),
        (builder.result(Word.DONE), (0, 0, 1, 0)),
        (builder.dead(), (0, 1, 0, 0)),
    ],
)
def test_each_word(oracle: ModuleType, run: RunResult, told: tuple[int, int, int, int]) -> None:  # noqa: F811
    assert counted(oracle, run) == told
