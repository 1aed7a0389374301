# SPDX-License-Identifier: GPL-2.0-only
"""The HTML report in a real browser: size, colours, contrast, links, and that it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from lab.report import html, plot
from lab.verdict.model import Word
from tests.browser.chromium import Scheme, chromium, dress, missing, requests
from tests.unit.report import builder

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")

LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")
DESKTOP, PHONE = (1280, 900), (390, 844)
LOOKS = [(size, scheme) for size in (DESKTOP, PHONE) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 32 runs beside the files of their bundles."""
    folder = tmp_path_factory.mktemp("report")
    session = builder.full_session()
    for run in session.results:
        for name in ("manifest.json", "receiver/console.log", "receiver/telemetry.jsonl"):
            file = folder / run.bundle / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("one line\n")
    (folder / "index.html").write_text(html.render(session), "utf-8")
    (folder / "curve.svg").write_text(plot.standalone(builder.ledger(), "hold on stock"), "utf-8")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def look(browser: Chrome, report: Path, size: tuple[int, int], scheme: Scheme) -> dict[str, Any]:
    dress(browser, *size, scheme)
    browser.get(report.as_uri())
    browser.execute_script("for (const run of document.querySelectorAll('details')) run.open = true")
    seen: dict[str, Any] = browser.execute_script(LOOK)
    return seen


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_it_fits_and_can_be_read(browser: Chrome, report: Path, size: tuple[int, int], scheme: Scheme) -> None:
    seen = look(browser, report, size, scheme)
    assert seen["width"] <= size[0]
    assert seen["checked"] > 500
    assert seen["svgTexts"] > 300
    assert seen["pale"] == []
    assert {name: ratio for name, ratio in seen["strokes"].items() if ratio < 3} == {}
    assert seen["smallest"] >= 10


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_eight_kernels_on_three_nics_can_be_read(
    browser: Chrome, tmp_path: Path, size: tuple[int, int], scheme: Scheme
) -> None:
    page = tmp_path / "thread.html"
    page.write_text(html.render(builder.thread_session()), "utf-8")
    dress(browser, *size, scheme)
    browser.get(page.as_uri())
    seen: dict[str, Any] = browser.execute_script(LOOK)
    tables = browser.find_elements(By.CSS_SELECTOR, "table.matrix")
    assert (len(tables), seen["width"] <= size[0], seen["pale"]) == (3, True, [])
    for table in tables:
        widths = [cell.size["width"] for cell in table.find_elements(By.CSS_SELECTOR, "thead th")]
        assert len(widths) == 9
        # The whole table on a desktop; on a phone the case and two kernels beside each other, the rest by scrolling.
        assert (sum(widths) if size == DESKTOP else sum(widths[:3])) <= (1130 if size == DESKTOP else size[0])


def test_long_words_do_not_widen_the_phone(browser: Chrome, tmp_path: Path) -> None:
    long = "x" * 160
    page = tmp_path / "index.html"
    run = builder.result(Word.FAIL, long, long, long, predicted="PASS", message=long, bundle=long)
    page.write_text(html.render(builder.session(run)), "utf-8")
    assert look(browser, page, PHONE, "light")["width"] <= PHONE[0]


def test_dark_and_light_differ_in_page_text_and_curve(browser: Chrome, report: Path) -> None:
    light, dark = (look(browser, report, DESKTOP, scheme) for scheme in ("light", "dark"))
    assert [name for name in ("page", "ink", "held") if light[name] == dark[name]] == []


def test_a_run_opens_and_closes_by_its_summary(browser: Chrome, report: Path) -> None:
    dress(browser, *PHONE, "light")
    browser.get(report.as_uri())
    run = next(r for r in browser.find_elements(By.TAG_NAME, "details") if r.get_attribute("open") is None)
    body = run.find_element(By.CLASS_NAME, "body")
    shown = []
    for _ in range(2):
        run.find_element(By.TAG_NAME, "summary").click()
        shown.append(body.is_displayed())
    assert shown == [True, False]


def test_a_cell_of_the_matrix_opens_its_run(browser: Chrome, report: Path) -> None:
    dress(browser, *DESKTOP, "light")
    browser.get(report.as_uri())
    cell = browser.find_elements(By.CSS_SELECTOR, "a.cell:not(.differs)")[-1]
    target = browser.find_element(By.ID, str(cell.get_attribute("href")).partition("#")[2])
    assert not target.is_displayed()
    cell.click()
    assert target.is_displayed()
    assert 0 <= target.location_once_scrolled_into_view["y"] < DESKTOP[1]


def test_links_lead_to_files_of_the_bundles(browser: Chrome, report: Path) -> None:
    browser.get(report.as_uri())
    links = [str(a.get_attribute("href")) for a in browser.find_elements(By.TAG_NAME, "a")]
    files = {unquote(urlparse(link).path) for link in links if "#" not in link}
    assert len(files) == 32 * 3
    assert [file for file in files if not Path(file).is_file()] == []


def test_it_asks_nobody_and_complains_about_nothing(browser: Chrome, report: Path) -> None:
    requests(browser)
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    look(browser, report, DESKTOP, "light")
    asked = [url for url in requests(browser) if not url.startswith("data:")]
    assert asked == [report.as_uri()]
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_standalone_curve_has_both_themes(browser: Chrome, report: Path, scheme: Scheme) -> None:
    dress(browser, *DESKTOP, scheme)
    browser.get(report.with_name("curve.svg").as_uri())
    colour = browser.find_element(By.CSS_SELECTOR, "text").value_of_css_property("fill")
    assert colour.replace(" ", "") == {"light": "rgb(32,38,44)", "dark": "rgb(230,233,236)"}[scheme]
