# SPDX-License-Identifier: GPL-2.0-only
"""The site in a real browser, from files: every kind of page, desktop and phone, light and dark, with and without
scripting."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from lab.archive.site import build
from tests.browser.chromium import Scheme, chromium, dress, missing, requests
from tests.unit.archive.stored import NEW, OLD
from tests.unit.archive.test_site import CELLS, write_failing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")

DESKTOP, PHONE = (1280, 900), (390, 844)
LOOKS = [(size, scheme) for size in (DESKTOP, PHONE) for scheme in ("light", "dark")]
LOOK = (Path(__file__).parent / "look.js").read_text("utf-8").partition("const strokes")[0]
PALE = LOOK + "return [document.documentElement.scrollWidth, texts.length, pale];"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_failing(folder / "results")

    def ask(index: Index) -> None:
        catch_up(index, folder / "results")
        build(index, folder / "results", folder / "site")

    use_index(folder / "results", ask)
    return folder / "site"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def one_of_each(site: Path) -> list[Path]:
    folders = [next(path.glob("*.html")) for path in sorted(site.iterdir()) if path.is_dir()]
    return [*sorted(site.glob("*.html")), *folders]


def errors(browser: Chrome) -> list[object]:
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_every_kind_of_page_fits_and_can_be_read(
    browser: Chrome, site: Path, size: tuple[int, int], scheme: Scheme
) -> None:
    errors(browser)
    dress(browser, *size, scheme)
    told = one_of_each(site)
    assert len(told) == 7
    for page in told:
        browser.get(page.as_uri())
        width, texts, pale = browser.execute_script(PALE)
        assert (page.name, width <= size[0], texts > 5, pale) == (page.name, True, True, [])
    assert errors(browser) == []


def test_it_asks_nobody_but_files_of_its_own(browser: Chrome, site: Path) -> None:
    requests(browser)
    for page in one_of_each(site):
        browser.get(page.as_uri())
    asked = {url for url in requests(browser) if not url.startswith("data:")}
    assert all(url.startswith(site.as_uri() + "/") for url in asked)
    assert any(url.endswith(".svg") for url in asked)


def test_curves_are_shown_side_by_side(browser: Chrome, site: Path) -> None:
    dress(browser, *DESKTOP, "light")
    browser.get((site / "sessions" / f"{OLD}.html").as_uri())
    images = browser.find_elements(By.CSS_SELECTOR, ".multiples img")
    for image in images:
        browser.execute_script("arguments[0].loading = 'eager'", image)
        browser.execute_async_script("arguments[0].decode().then(arguments[1])", image)
    assert [int(str(image.get_attribute("naturalWidth"))) > 0 for image in images] == [True] * 3
    assert len({image.location["y"] for image in images}) == 1


def shown(browser: Chrome) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, ".list tbody tr")
    return [row.find_element(By.TAG_NAME, "th").text for row in rows if row.is_displayed()]


def test_rows_are_filtered_and_sorted(browser: Chrome, site: Path) -> None:
    dress(browser, *DESKTOP, "light")
    browser.get((site / "index.html").as_uri())
    every = shown(browser)
    assert len(every) == CELLS
    field = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    field.send_keys("HOLD fail")
    assert shown(browser) == ["hold"]
    assert browser.find_element(By.TAG_NAME, "output").text == f"1 of {CELLS}"
    field.clear()
    field.send_keys(" ")
    heading = browser.find_element(By.CSS_SELECTOR, ".list thead button")
    heading.click()
    assert shown(browser) == sorted(every)
    heading.click()
    assert shown(browser) == sorted(every, reverse=True)


def test_a_finding_jumps_to_its_line(browser: Chrome, site: Path) -> None:
    dress(browser, *PHONE, "light")
    page = next(path for path in (site / "runs").glob("*.html") if 'class="it"' in path.read_text())
    browser.get(page.as_uri())
    link = browser.find_element(By.CSS_SELECTOR, ".findings a")
    line = browser.find_element(By.ID, str(link.get_attribute("href")).partition("#")[2])
    link.click()
    top = browser.execute_script("return arguments[0].getBoundingClientRect().top", line)
    assert -1 < top < PHONE[1]  # it scrolls to whole pixels
    assert line.value_of_css_property("outline-style") == "solid"


def test_without_scripting_all_is_there_and_words_can_be_chosen(browser: Chrome, site: Path) -> None:
    dress(browser, *DESKTOP, "light")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((site / "index.html").as_uri())
        assert browser.find_elements(By.CSS_SELECTOR, "input[type=search], .list button") == []
        assert len(shown(browser)) == CELLS
        browser.find_element(By.ID, "only-surprise").click()
        assert shown(browser) == ["hold"]
        browser.find_element(By.ID, "only-PASS").click()
        assert len(shown(browser)) == CELLS - 1
        browser.find_element(By.LINK_TEXT, "Sessions").click()
        browser.find_element(By.LINK_TEXT, NEW).click()
        assert len(shown(browser)) == 2
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_it_prints_in_full(browser: Chrome, site: Path) -> None:
    dress(browser, *DESKTOP, "light")
    browser.get((site / "index.html").as_uri())
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("nothing has this")
    assert shown(browser) == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert len(shown(browser)) == CELLS
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_page_of_a_run_can_be_sent_as_one_file(browser: Chrome, site: Path, tmp_path: Path) -> None:
    page = next(path for path in (site / "runs").glob("*.html") if 'class="it"' in path.read_text())
    alone = Path(shutil.copy(page, tmp_path / "run.html"))
    requests(browser)
    errors(browser)
    dress(browser, *DESKTOP, "light")
    browser.get(alone.as_uri())
    assert [url for url in requests(browser) if not url.startswith("data:")] == [alone.as_uri()]
    assert browser.find_element(By.CSS_SELECTOR, "figure > .curve").is_displayed()
    assert errors(browser) == []
