# SPDX-License-Identifier: GPL-2.0-only
"""Cells that several runs share, and the tables a large session is cut into."""

from __future__ import annotations

from dataclasses import replace

from lab.report import RunResult, Session, html, markdown, text
from lab.report.matrix import Cell, arrange
from lab.verdict.cost import Cost, Ratio
from lab.verdict.model import Word
from tests.known import CASES
from tests.unit.report import builder
from tests.unit.report.page import Page
from tests.unit.report.test_text import rendered

REPEATED = tuple(builder.result(word, predicted="PASS", repeat=n) for n, word in enumerate(builder.REPEATS, 1))


def cell(*runs: RunResult) -> Cell:
    return Cell(runs)


def test_repeats_are_counted_worst_first_and_the_run_to_look_at_is_the_one_that_differs() -> None:
    assert cell(*REPEATED).words == ((Word.FAIL, 1), (Word.PASS, 2))
    assert cell(*REPEATED).telling is REPEATED[1]
    assert [r.manifest.repeat for r in cell(*REPEATED).disagreeing] == [2]


def test_the_escape_of_repeats_is_a_range_of_what_was_measured() -> None:
    low, high = builder.result(Word.FAIL, book=builder.ledger(held=200 << 20)), builder.result(Word.FAIL)
    broken = builder.result(Word.ERROR, predicted="FAIL", book=builder.ledger(held=900 << 20))
    assert cell(high, broken, low).escapes == (195 << 20, 251 << 20)
    assert cell(broken).escapes is None
    assert "FAIL x2 195.0..251.0 MiB" in rendered(text.overview(builder.session(high, low)))


def costing(value: float, word: Word = Word.DONE) -> RunResult:
    run, ratio = builder.result(word, "cost"), Ratio(value, value - 0.003, value + 0.0031)
    cost = Cost(ratio, ratio, ratio, (1e6, 1e6), (70, 71), 8e6, 0.01, 12)
    return replace(run, verdict=replace(run.verdict, cost=cost))


def test_a_cost_is_told_where_it_was_measured_soundly() -> None:
    one = costing(1.021)
    assert cell(one).figure == "1.021 [1.018, 1.024]"
    assert cell(costing(1.021, Word.ERROR)).figure == ""
    assert cell(one, costing(0.998), costing(7, Word.ERROR)).figure == "0.998..1.021"
    assert cell(builder.result(Word.FAIL, "hold")).figure == "251.0 MiB"
    assert cell(builder.result(Word.PASS, "release")).figure == ""
    told = builder.session(one)
    assert "DONE 1.021 [1.018, 1.024]" in rendered(text.overview(told))
    assert r"DONE 1.021 \[1.018, 1.024\] (DONE)" in markdown.render(told)
    assert "1.021 [1.018, 1.024]" in html.render(told)


def test_trouble_is_no_measurement_even_where_it_was_predicted_or_among_good_runs() -> None:
    assert cell(builder.result(Word.ERROR)).not_measured
    assert cell(builder.result(), builder.result(Word.MISS, predicted="PASS")).not_measured
    assert not cell(*REPEATED, builder.result(Word.SKIP)).not_measured
    for shown in (rendered(text.overview(_troubled())), markdown.render(_troubled()), html.render(_troubled())):
        assert "not measured" in shown


def _troubled() -> Session:
    return builder.session(builder.result(Word.ERROR, predicted="open"))


def test_an_open_prediction_is_told_and_is_no_surprise_but_trouble_is() -> None:
    run = builder.result(Word.FAIL, predicted="open")
    assert arrange([run]).surprises() == ()
    assert "(open)" in rendered(text.overview(builder.session(run)))
    assert len(arrange(_troubled().results).surprises()) == 1


def test_what_does_not_apply_is_not_a_skip_for_another_reason() -> None:
    absent, lacking = builder.result(Word.SKIP), builder.result(Word.SKIP, predicted="PASS")
    assert [cell(run).not_applicable for run in (absent, lacking)] == [True, False]
    assert "n/a" in rendered(text.overview(builder.session(absent)))
    assert "| n/a |" in markdown.render(builder.session(absent))


def test_many_kernels_get_a_table_for_each_nic_with_kernels_in_the_order_of_the_designs() -> None:
    tables = arrange(builder.thread_session().results).tables()
    assert [t.heads for t in tables] == [(("e1000e-split", 8),), (("virtio", 8),), (("e1000", 8),)]
    assert tables[0].labels == builder.KERNELS
    assert {row.case for row in tables[0].rows} == CASES.keys()


def test_surprises_are_listed_by_cell_with_the_sentence_of_the_finding() -> None:
    matrix = arrange(builder.thread_session().results)
    found = [(s.column.kernel, s.case, s.first.verdict.word.value, len(s.runs), s.of) for s in matrix.surprises()]
    assert sorted(found) == [
        ("pool-return+recycling", "visible", "ERROR", 1, 1),
        ("precharge", "hold", "FAIL", 1, 1),
        ("put-hook", "release", "FAIL", 1, 3),
        ("unmap-hook", "release", "MISS", 1, 1),
    ]
    assert [s.first.verdict.word.value for s in matrix.surprises()] == ["FAIL", "FAIL", "ERROR", "MISS"]


def test_the_markdown_says_what_the_page_says() -> None:
    shown = markdown.render(builder.thread_session())
    lines = shown.splitlines()
    first = next(line for line in lines if line.startswith("- **hold** on precharge, e1000e-split"))
    assert first.endswith("251.0 MiB escape")
    assert shown.index("Not as predicted") < shown.index("### e1000e-split") < shown.index("### virtio")
    rows = [line for line in lines if line.startswith("| `")]
    assert len(rows) == 3 * len(CASES)
    assert {line.count("|") for line in rows} == {10}
    assert "| **FAIL 251.0 MiB** (PASS) |" in rows[0]
    assert any("**1 FAIL, 2 PASS** (PASS)" in line for line in rows)
    assert any("**ERROR** not measured (PASS)" in line for line in rows)
    page = Page.parse(html.render(builder.thread_session()))
    assert page.problems == []
    assert len([a for a in page.all("table") if "matrix" in a.get("class", "")]) == 3


def test_no_name_breaks_the_markdown_table() -> None:
    shown = markdown.render(builder.session(builder.result(Word.FAIL, "a|b", "k|[x](y)", "n\nm", predicted="PASS")))
    (row,) = [line for line in shown.splitlines() if line.startswith("| `")]
    assert row.replace("\\|", "").count("|") == 3
    assert "[x](y)" not in shown


def test_an_empty_session_has_no_table() -> None:
    assert "|" not in markdown.render(builder.session())


def test_a_list_of_surprises_tells_one_reason_and_how_many_more() -> None:
    run = builder.result(Word.FAIL, predicted="PASS")
    many = replace(run, verdict=replace(run.verdict, findings=run.verdict.findings * 3))
    for shown in (rendered(text.overview(builder.session(many)), 200), markdown.render(builder.session(many))):
        assert shown.count("251.0 MiB escape (and 2 findings more)") == 1
