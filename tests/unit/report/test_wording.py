# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest

from lab.report import RunResult, wording
from lab.report.matrix import arrange, in_order
from lab.verdict.model import Finding, Oom, OomOutcome, Word
from tests.unit.report import builder


def test_a_run_as_predicted_does_not_disagree() -> None:
    run = builder.result(Word.FAIL)
    assert (run.as_predicted, run.disagrees, wording.prediction(run)) == (True, False, "as predicted")


@pytest.mark.parametrize("word", [Word.FAIL, Word.ERROR, Word.MISS, Word.DONE])
def test_any_other_word_than_the_predicted_disagrees(word: Word) -> None:
    run = builder.result(word, predicted="PASS")
    assert run.disagrees
    assert wording.prediction(run) == f"{word}, predicted PASS"


def test_a_kernel_that_died_is_no_fail_that_was_predicted() -> None:
    run = builder.dead()
    assert (run.as_predicted, run.disagrees) == (False, True)
    assert wording.prediction(run) == "FAIL, predicted FAIL without a fault of the kernel"
    assert wording.prediction(builder.dead("PASS")) == "FAIL, predicted PASS"


def test_a_pass_where_fail_was_predicted_disagrees() -> None:
    assert builder.result(Word.PASS, predicted="FAIL").disagrees


def test_a_skip_says_nothing() -> None:
    run = builder.result(Word.SKIP, predicted="PASS")
    assert (run.as_predicted, run.disagrees, wording.prediction(run)) == (False, False, "PASS was predicted")
    assert wording.escape_judged(run) is None
    assert wording.escape_judged(builder.result(Word.FAIL)) is not None
    assert [wording.escape_judged(builder.result(word)) for word in (Word.ERROR, Word.MISS)] == [None, None]


def test_the_summary_counts_words_and_disagreements() -> None:
    assert wording.summary(builder.full_session()) == (
        "32 runs of 8 cases on 2 kernels and 2 NIC profiles: 11 FAIL, 1 ERROR, 1 MISS, 18 PASS, 1 SKIP. "
        "3 are not as predicted."
    )


@pytest.mark.parametrize(
    ("runs", "end"),
    [
        ((), "No runs."),
        ((builder.result(),), "1 run of 1 case on 1 kernel and 1 NIC profile: 1 PASS. All are as predicted."),
        ((builder.result(Word.SKIP, predicted="PASS"),), "1 SKIP. Nothing was measured."),
        ((builder.result(), builder.result(Word.SKIP)), "All that were measured are as predicted."),
        ((builder.result(Word.MISS, predicted="PASS"),), "1 MISS. 1 is not as predicted."),
    ],
)
def test_the_summary_of_small_sessions(runs: tuple[RunResult, ...], end: str) -> None:
    assert wording.summary(builder.session(*runs)).endswith(end)


def test_printable_replaces_what_no_format_can_carry() -> None:
    assert wording.printable("a\x00b\x1b[31m\udcff\ttab\nline") == "a\ufffdb\ufffd[31m\ufffd\ttab\nline"


def test_sizes_have_no_minus_zero_and_say_when_there_is_none() -> None:
    assert [wording.size(v) for v in (-1000, -(1 << 20), None)] == ["0.0 MiB", "-1.0 MiB", "not measured"]


def test_the_reason_is_the_findings_of_the_verdicts_word() -> None:
    assert wording.reason(builder.result(Word.SKIP)) == "the NIC model igb needs QEMU 8"


def test_findings_come_worst_first_and_keep_their_order_otherwise() -> None:
    words = (Word.PASS, Word.MISS, Word.FAIL, Word.PASS, Word.ERROR)
    findings = tuple(Finding(f"r{i}", word, "", "") for i, word in enumerate(words))
    assert [f.rule for f in wording.worst_first(findings)] == ["r2", "r4", "r1", "r0", "r3"]


def test_the_ledger_without_points_has_its_limit_only() -> None:
    rows = wording.ledger_rows(builder.ledger(points=0, limit=None))
    assert [(name, value) for name, value, _ in rows] == [("limit", "none")]


@pytest.mark.parametrize("oom", list(Oom))
def test_every_oom_outcome_has_a_sentence(oom: Oom) -> None:
    assert wording.oom_sentence(OomOutcome(oom, ())).startswith(wording.OOM_SENTENCES[oom][:-1])


@pytest.mark.parametrize(("seconds", "text"), [(8.04, "8.0 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_the_matrix_follows_the_tables_of_the_plan_not_the_order_of_the_runs() -> None:
    matrix = arrange(reversed(builder.full_session().results))
    assert [row.case for row in matrix.rows] == list(builder.EIGHT)
    (table,) = matrix.tables()
    assert table.heads == (("stock", 2), ("precharge", 2))
    assert [c.nic for c in matrix.columns] == ["e1000e-split", "virtio"] * 2
    assert len(in_order(matrix)) == 32


def test_the_matrix_keeps_repeats_holes_and_unknown_names() -> None:
    runs = [builder.result(repeat=1), builder.result(repeat=2), builder.result(case="zz", kernel="my-own", nic="new")]
    matrix = arrange(runs)
    assert [row.case for row in matrix.rows] == ["hold", "zz"]
    assert [[len(cell.runs) for cell in row.cells] for row in matrix.rows] == [[2, 0], [0, 1]]
