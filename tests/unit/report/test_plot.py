# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import re
import sys
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from lab.evidence.model import Ledger
from lab.report import plot
from tests.unit.report import builder

SVG = f"{{{plot.SVG}}}"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own text


def classes(root: ET.Element) -> set[str]:
    return {element.get("class", "") for element in root.iter()} - {""}


def test_the_curve_shows_every_series_the_limit_and_the_marks() -> None:
    root = parsed(plot.curve(builder.ledger(), "r1-", "the title"))
    series = {"line-1", "line-2", "gone", "held", "charged"}
    assert classes(root) >= {"curve", *series, "limit", "escape", "mark", "grid"}
    assert {"1", "2", "3", "limit", "MiB", "seconds"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_the_curve_tells_in_words_what_it_shows() -> None:
    root = parsed(plot.curve(builder.ledger(), "r1-", "<the> title"))
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "r1-title r1-desc")
    assert root[0].text == "<the> title"
    assert "held 256.0 MiB and was charged 5.0 MiB; the limit was 64.0 MiB" in str(root[1].text)


def test_ids_have_the_prefix_and_references_hit() -> None:
    svg = plot.curve(builder.ledger(), "r7-", "t")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("r7-") for name in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_it_is_deterministic_and_has_nothing_foreign() -> None:
    svg = plot.curve(builder.ledger(), "r1-", "t")
    assert svg == plot.curve(builder.ledger(), "r1-", "t")
    assert "<style" not in svg
    assert set(re.findall(r"https?://[^\"]+", svg)) <= {plot.SVG, plot.XLINK}


def test_an_oom_is_a_mark_of_its_own_kind() -> None:
    book = builder.ledger()
    book = replace(book, marks=(*book.marks, (104.01, "memcg OOM kills zc-client")))
    assert [m.oom for m in plot.marks_of(book)] == [False, False, True, False]
    assert "oom" in classes(parsed(plot.curve(book, "p", "t")))


@pytest.mark.parametrize("width", [0.01, 6.0])
def test_numbers_of_marks_do_not_overlap(width: float) -> None:
    book = replace(builder.ledger(), marks=tuple((106.0 - width * n / 12, f"mark {n}") for n in range(12)))
    root = parsed(plot.curve(book, "p", "t"))
    told = {str(text.text): float(text.get("x", 0)) for text in root.iter(f"{SVG}text") if text.get("y") == "28"}
    places = [told[str(number)] for number in range(1, 13)]
    assert min(after - before for before, after in pairwise(places)) >= plot.APART - 0.2
    assert places[-1] <= plot.WIDTH - plot.RIGHT + 0.2


def test_numbers_of_marks_stay_where_there_is_room() -> None:
    assert plot.apart([10.0, 60.0, 61.0, 400.0], 504) == [10.0, 60.0, 86.0, 400.0]
    assert plot.apart([500.0, 503.0], 504) == [478.0, 504]


@pytest.mark.parametrize(
    "book",
    [
        builder.ledger(points=0),
        builder.ledger(points=0, limit=None),
        builder.ledger(points=1),
        builder.ledger(points=2, held=0, charged=-4096),
        builder.ledger(limit=None),
        replace(builder.ledger(), marks=()),
        replace(builder.ledger(), marks=((90.0, "$before$ <the> \x00 first"), (300.0, "after"))),
        Ledger("x", None, (), None, ()),
    ],
)
def test_any_ledger_can_be_drawn(book: Ledger) -> None:
    root = parsed(plot.curve(book, "p-", "t"))
    assert ("limit" in classes(root)) == (book.limit is not None and bool(book.points))
    assert len(plot.standalone(book, "t")) > 500


def test_the_standalone_curve_brings_its_colours_and_its_key() -> None:
    root = parsed(plot.standalone(builder.ledger(), "hold on stock"))
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"held", "charged", "2   4.00 s   holding"} <= texts
    assert any("prefers-color-scheme: dark" in str(style.text) for style in root.iter(f"{SVG}style"))
    assert root.get("width")
    # Once for the line, once in the key.
    assert sum(element.get("class") == "held" for element in root.iter()) == 2


def test_in_a_page_the_key_and_the_colours_are_left_to_the_page() -> None:
    root = parsed(plot.curve(builder.ledger(), "r1-", "t"))
    assert "key" not in classes(root)
    assert sum(element.get("class") == "held" for element in root.iter()) == 1
    assert root.get("viewBox") == f"0 0 {plot.WIDTH} {plot.HEIGHT}"


def test_a_picture_of_this_ledger_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    book = builder.ledger()
    there, fresh = plot.standalone(book, "of the bundle"), plot.curve(book, "r1-", "t")
    monkeypatch.delattr(plot, "_draw")
    assert plot.curve(book, "r1-", "t", there) == fresh


def test_no_other_picture_is_taken_for_one_of_this_ledger() -> None:
    book = builder.ledger()
    fresh, other = plot.curve(book, "r1-", "t"), plot.standalone(builder.ledger(held=3 << 20), "t")
    for wrong in (other, plot.standalone(book, "t")[:-20], "", "no picture"):
        assert plot.curve(book, "r1-", "t", wrong) == fresh


def test_thinning_keeps_the_ends_and_the_peak() -> None:
    points = builder.ledger(points=5001).points
    thinned = plot.thin(points, points[1234])
    assert len(thinned) <= plot.MAX_POINTS
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])
    assert points[1234] in thinned
    assert thinned == sorted(thinned, key=lambda p: p.t)


def test_a_long_run_is_drawn_small() -> None:
    assert len(plot.curve(builder.ledger(points=20000), "r1-", "t")) < 40_000


def test_pyplot_stays_out() -> None:
    plot.curve(builder.ledger(), "p", "t")
    assert "matplotlib.pyplot" not in sys.modules
