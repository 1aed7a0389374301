# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import re
from functools import cache

from lab.report import RunResult, html
from lab.verdict.model import Oom, OomOutcome, Word
from tests.unit.report import builder
from tests.unit.report.page import Page

WEIRD = '<script>alert(1)</script> & "q" \x00\x1b \udcff'


@cache
def full() -> str:
    return html.render(builder.full_session())


def page_of(*runs: RunResult) -> Page:
    return Page.parse(html.render(builder.session(*runs)))


def test_the_page_is_well_formed_and_its_ids_are_unique() -> None:
    page = Page.parse(full())
    assert page.problems == []
    ids = page.values("id")
    assert len(ids) == len(set(ids)) > 64
    referred = [name for value in page.values("aria-labelledby") for name in value.split()]
    referred += [href[1:] for href in page.values("href") if href.startswith("#")]
    assert set(referred) <= set(ids)


def test_the_page_needs_nothing_but_itself() -> None:
    page = Page.parse(full())
    assert {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "embed", "audio", "video"} == set()
    assert [a["href"] for a in page.all("link")] == ["data:,"]
    assert page.values("src") == []
    assert [v for v in page.values("href") if re.match(r"[a-z]+:|//", v)] == ["data:,"]
    assert re.findall(r"@import|url\((?!#)", full()) == []
    assert set(re.findall(r"https?://[^\"' ]+", full())) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_summary_and_the_surprises_come_first() -> None:
    text = " ".join(Page.parse(full()).text.split("Is every")[1].split())
    order = ["3 are not as predicted.", "Not as predicted", "Verdicts", "Runs", "Kernels and hosts", "How to read this"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "hold on precharge, e1000e-split FAIL, predicted PASS" in text[: places[2]]


def test_the_worst_surprise_comes_first() -> None:
    words = (Word.MISS, Word.PASS, Word.FAIL, Word.ERROR)
    text = page_of(*(builder.result(word, predicted="DONE") for word in words)).text
    told = re.findall(r"(\w+),\s+predicted DONE", text.partition("Verdicts")[0])
    assert told == ["FAIL", "ERROR", "MISS", "PASS"]


def test_every_cell_says_word_and_escape_and_leads_to_its_run() -> None:
    page = Page.parse(full())
    cells = [a for a in page.all("a") if a.get("class", "").startswith("cell")]
    assert len(cells) == 32
    assert len({a["href"] for a in cells}) == 32
    assert sum("differs" in a["class"] for a in cells) == 3
    headers = page.all("th")
    assert headers
    assert all("scope" in a for a in headers)


def test_a_row_leads_with_an_escape_only_where_the_case_is_about_one() -> None:
    def row(run: RunResult) -> str:
        shown = re.search(r"<summary>.*?</summary>", html.render(builder.session(run)), re.DOTALL)
        assert shown
        return " ".join(Page.parse(shown[0]).text.split())

    assert (
        row(builder.result(Word.FAIL, predicted="PASS"))
        == "FAIL hold stock, virtio escape 251.0 MiB FAIL, predicted PASS"
    )
    assert row(builder.result(Word.PASS, "bytes-equal")) == "PASS bytes-equal stock, virtio as predicted"
    assert row(builder.result(Word.MISS, predicted="PASS")) == "MISS hold stock, virtio MISS, predicted PASS"


def test_open_are_the_surprises_and_the_first_fail() -> None:
    runs = Page.parse(full()).all("details")
    assert len(runs) == 32
    assert sum("open" in a for a in runs) == 4
    assert "open" in runs[0]


def test_findings_link_into_the_bundle() -> None:
    page = page_of(builder.result(Word.FAIL, bundle="bundles/a b#1"))
    links = page.values("href")
    assert "bundles/a%20b%231/receiver/console.log" in links
    assert "bundles/a%20b%231/receiver/telemetry.jsonl" in links
    assert "receiver/telemetry.jsonl:57" in page.text


def test_a_pointer_cannot_become_a_script() -> None:
    assert html.href("javascript:alert(1)", "x:3") == "javascript%3Aalert%281%29/x"
    assert html.href("b", "") == ""


def test_the_run_tells_everything() -> None:
    oom = OomOutcome(Oom.GLOBAL_OTHER, ("copy@/lab/innocent",))
    text = " ".join(page_of(builder.result(Word.FAIL, "bystander", oom=oom)).text.split())
    for part in (
        "This can cause a memory isolation issue",
        "killed somebody else than the abuser (global-kill-other). Killed: copy@/lab/innocent",
        "escape held - charged 251.0 MiB",
        "lab run --kernel stock --nic virtio --case bystander",
        "7.2.22, tcg",
        "ab" * 32,
        "today's kernel: mapped pages are charged to no memcg",
    ):
        assert part in text


def test_no_text_of_a_run_becomes_markup() -> None:
    run = builder.result(Word.ERROR, WEIRD, WEIRD, WEIRD, message=WEIRD, predicted=WEIRD, bundle=WEIRD)
    text = html.render(builder.session(run))
    text.encode("utf-8")
    page = Page.parse(text)
    assert page.problems == []
    assert page.all("script") == []
    assert not re.search("[\x00\x1b]", text)


def test_an_empty_session_says_so() -> None:
    page = page_of()
    assert page.problems == []
    assert "This session has no runs" in page.text
    assert page.all("table") == []


def test_no_points_and_no_limit() -> None:
    page = page_of(builder.result(Word.MISS, predicted="PASS", book=builder.ledger(points=0, limit=None)))
    assert "No curve: the ledger has no points." in page.text
    assert [a for a in page.all("svg") if "role" in a] == []


def test_without_surprises_it_says_none() -> None:
    assert "None: every run that was measured came out as predicted." in page_of(builder.result(Word.FAIL)).text


def test_repeats_share_a_cell_and_two_runs_of_one_name_have_two_ids() -> None:
    page = page_of(builder.result(), builder.result(), builder.result(repeat=2))
    assert len(page.all("td")) - 3 * 8 == 1
    assert len([v for v in page.values("id") if v.startswith("run") and v.endswith(("-1", "-2"))]) == 3


def test_it_is_deterministic() -> None:
    run = builder.result(Word.FAIL)
    assert html.render(builder.session(run)) == html.render(builder.session(run))
