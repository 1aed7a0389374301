# SPDX-License-Identifier: GPL-2.0-only
"""The site: whole, closed in itself, made in proportion to what is new; what bundles say is text and no more."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.archive import sitepages
from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from lab.archive.prune import prune
from lab.archive.site import MARK, Built, build
from lab.contracts import HUSK
from lab.errors import BadInput
from lab.host.records import dump_record, load_record
from tests.unit.archive.stored import NEW, OLD, changed, write_results
from tests.unit.cli.conftest import write_session
from tests.unit.cli.test_escapes import EVIL, FORBIDDEN
from tests.unit.report.page import Page

RUNS, CELLS, PAGES = 5, 4, 5 + 2 + 1 + 1 + 3
"""Pages: runs, sessions, a comparison, a kernel, three lists."""


def built(root: Path, folder: Path) -> Built:
    """As a command does it."""

    def ask(index: Index) -> Built:
        catch_up(index, root)
        return build(index, root, folder)

    return use_index(root, ask)


def write_failing(root: Path) -> None:
    """Two sessions; `hold` passed in one, and then failed, which nobody predicted, in the other."""
    hold, *_ = write_results(root)
    changed(hold, started="2026-01-06T00:00:00.000+00:00")


def pages(folder: Path) -> dict[str, Page]:
    return {str(path.relative_to(folder)): Page.parse(path.read_text()) for path in sorted(folder.rglob("*.html"))}


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def check(folder: Path) -> None:
    """Every page is well formed, and every link leads to something in the site."""
    told = pages(folder)
    ids = {name: page.values("id") for name, page in told.items()}
    for name, page in told.items():
        assert (name, page.problems) == (name, [])
        assert len(ids[name]) == len(set(ids[name])), name
        for link in (*page.values("href"), *page.values("src")):
            path, _, anchor = link.partition("#")
            if link == "data:,":
                continue
            target = (folder / name).parent.joinpath(path).resolve() if path else folder / name
            assert target.is_file(), (name, link)
            assert target.is_relative_to(folder)
            assert not anchor or anchor in ids[str(target.relative_to(folder))], (name, link)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of two sessions, with its site beside it."""
    folder = tmp_path_factory.mktemp("whole")
    write_failing(folder / "results")
    assert built(folder / "results", folder / "site").written == PAGES
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "copy")


def test_every_page_is_well_formed_and_every_link_leads_somewhere(whole: Path) -> None:
    told = pages(whole / "site")
    assert len(told) == PAGES
    check(whole / "site")
    reached, left = set[str](), ["index.html"]
    while left:
        name = left.pop()
        reached.add(name)
        for link in told[name].values("href"):
            path = link.partition("#")[0]
            target = str((whole / "site" / name).parent.joinpath(path).resolve().relative_to(whole / "site"))
            if path.endswith(".html") and target not in reached:
                left.append(target)
    assert reached == set(told)


def test_a_page_allows_no_script_but_its_own(whole: Path) -> None:
    for name, page in pages(whole / "site").items():
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self' file:")
        assert len(page.all("script")) == (not name.startswith("runs/"))
        assert ("script-src 'sha256-" in policy) == (not name.startswith("runs/"))


def test_the_first_page_has_the_latest_word_of_each_cell(whole: Path) -> None:
    page = (whole / "site" / "index.html").read_text()
    rows = [" ".join(Page.parse(row).text.split()) for row in re.findall(r"<tr data-word.*?</tr>", page, re.DOTALL)]
    assert len(rows) == CELLS
    failed = [row for row in rows if row.startswith("hold") and "FAIL, predicted PASS" in row]
    assert len(failed) == 1
    assert rows[0] == failed[0]
    assert "2026-01-06 1:2 " in failed[0]
    assert 'aria-label="PF"' in page


def test_a_finding_leads_to_its_very_line(whole: Path) -> None:
    (bundle,) = (whole / "results" / OLD).glob("hold.*")
    (page,) = [text for path in (whole / "site" / "runs").glob("*.html") if bundle.name in (text := path.read_text())]
    pointers = re.findall(r'<a href="#(line-\d+)">([^<]+):(\d+)</a>', page)
    assert len(pointers) >= 3
    for anchor, file, number in pointers:
        (shown,) = re.findall(rf'<li class="it" id="{anchor}"><span>(\d+)</span><span>(.*?)</span></li>', page)
        line = (bundle / file).read_text().split("\n")[int(number) - 1]
        assert shown[0] == number
        assert Page.parse(f"<p>{shown[1]}</p>").text == line[: sitepages.LINE]


def test_nothing_new_writes_nothing(copy: Path) -> None:
    site = copy / "site"
    before = times(site)
    again = built(copy / "results", site)
    assert (again.written, again.removed, again.same) == (0, 0, len(pages(site)))
    assert times(site) == before


def test_what_is_new_is_written_and_nothing_else(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, before = copy / "site", times(copy / "site")
    _, (bundle,) = write_session(copy / "results", "20260103-000000-cccc", ("release",))
    changed(bundle, started="2026-01-09T00:00:00.000+00:00")
    judged: list[Path] = []
    read = sitepages.Bundled.read

    def noted(where: Path, anchor: str) -> sitepages.Bundled:
        judged.append(where)
        return read(where, anchor)

    monkeypatch.setattr(sitepages.Bundled, "read", noted)
    again = built(copy / "results", site)
    assert judged == [bundle]
    after = times(site)
    touched = {name for name in after if after[name] != before.get(name)}
    names = sorted(re.sub(r"\w{20,}", "KEY", name) for name in touched)
    assert names == [
        "comparisons/20260103-000000-cccc.html",
        "index.html",
        "kernels.html",
        "kernels/KEY.html",
        "runs/KEY.html",
        "runs/KEY.svg",
        "sessions.html",
        "sessions/20260103-000000-cccc.html",
    ]
    assert again.written == 7
    check(site)


def test_a_page_that_was_spoilt_or_lost_is_made_anew(copy: Path) -> None:
    site = copy / "site"
    run = next((site / "runs").glob("*.html"))
    kept = run.read_bytes()
    run.unlink()
    (site / "index.html").write_text("cut")
    assert built(copy / "results", site).written == 2
    assert run.read_bytes() == kept


@pytest.fixture
def prune_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Path]]:
    """Prune all bundles of a results folder, those that show something as well."""
    monkeypatch.setattr("lab.archive.prune.wanted", lambda runs: {})

    def gone(root: Path) -> list[Path]:
        def work(index: Index) -> None:
            catch_up(index, root)
            prune(index, root, keep_days=0, most=0, dry_run=False)

        use_index(root, work)
        return sorted(root.rglob(HUSK))

    return gone


def test_a_pruned_run_keeps_its_page_and_its_session_says_so(
    copy: Path, prune_all: Callable[[Path], list[Path]]
) -> None:
    results, site = copy / "results", copy / "site"
    before = {path: path.read_bytes() for path in (site / "runs").iterdir()}
    husks = prune_all(results)
    assert len(husks) == RUNS
    built(results, site)
    assert {path: path.read_bytes() for path in (site / "runs").iterdir()} == before
    assert "pruned" in (site / "sessions.html").read_text()
    check(site)
    anew = copy / "anew"
    built(results, anew)
    pruned = [
        page.text for name, page in pages(anew).items() if name.startswith("runs/") and "was pruned on" in page.text
    ]
    assert len(pruned) == len(husks)
    check(anew)


def test_a_run_that_the_archive_no_longer_knows_has_no_page(copy: Path) -> None:
    site = copy / "site"
    shutil.rmtree(copy / "results" / NEW)
    again = built(copy / "results", site)
    assert again.removed >= 4
    assert not (site / "sessions" / f"{NEW}.html").exists()
    check(site)


def test_a_damaged_bundle_is_told_and_costs_nothing_else(copy: Path) -> None:
    (bundle,) = (copy / "results" / OLD).glob("hold.*")
    (bundle / "manifest.json").write_text("{")
    built(copy / "results", copy / "site")
    page = Page.parse((copy / "site" / "sessions.html").read_text()).text
    assert "Bundles that cannot be read" in page
    assert bundle.name in page
    check(copy / "site")


def test_a_bundle_that_is_spoilt_after_it_was_indexed_is_tried_again(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(where: Path, anchor: str) -> sitepages.Bundled:
        raise BadInput(["no more"])

    with monkeypatch.context() as patch:
        patch.setattr(sitepages.Bundled, "read", refuse)
        spoilt = built(copy / "results", copy / "other")
    assert len(spoilt.problems) == RUNS
    assert all("cannot be read" in path.read_text() for path in (copy / "other" / "runs").glob("*.html"))
    check(copy / "other")
    built(copy / "results", copy / "other")
    assert not any("cannot be read" in path.read_text() for path in (copy / "other" / "runs").glob("*.html"))


def test_nothing_that_a_bundle_says_becomes_markup_or_a_path(
    tmp_path: Path, prune_all: Callable[[Path], list[Path]]
) -> None:
    results, site = tmp_path / "results", tmp_path / "site"
    _, (hold, _) = write_session(results, "20260101-000000-aaaa", ("hold", "release"))
    kernel = json.loads((hold / "manifest.json").read_text())["kernel"]
    names = {"name": EVIL, "release": EVIL, "described": EVIL, "base": EVIL}
    changed(hold, kernel=kernel | names, session=f"../../{EVIL}", reproduce=EVIL, predicted=EVIL)
    built(results, site)
    check(site)
    first, _ = prune_all(results)
    told = load_record(first)
    told["told"]["run"]["key"] = "../../../escaped"
    first.write_bytes(dump_record(told))
    built(results, site)
    assert len([*(site / "runs").glob("x-*.html")]) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("results", "site")] == []
    for path in site.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._+-]+", path.name)
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "<script>alert" not in text
        assert not FORBIDDEN.search(text)
    check(site)


def test_config_and_series_of_a_built_kernel_are_shown(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle, *_) = (copy / "results" / OLD).glob("hold.*")
    sha256 = json.loads((bundle / "manifest.json").read_text())["kernel"]["sha256"]
    (tmp_path / "config").write_text("CONFIG_NET=y\n" + "# <b>\n" * 10_000 + "CONFIG_LAST=y\n")
    (tmp_path / "series.mbox").write_text("Subject: [PATCH] charge it\n")
    product = SimpleNamespace(path=tmp_path, record={"sha256": sha256})
    monkeypatch.setattr("lab.kernels.products.everything", lambda: (product,))
    built(copy / "results", copy / "site")
    shown = "".join(page.text for name, page in pages(copy / "site").items() if name.startswith("kernels/"))
    assert all(part in shown for part in ("CONFIG_NET=y\n", "CONFIG_LAST=y\n", "[PATCH] charge it"))
    check(copy / "site")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_session(results, "20260101-000000-aaaa", ())
    (tmp_path / "home" / "runs").mkdir(parents=True)
    (tmp_path / "home" / "runs" / "mine.html").write_text("mine")
    (tmp_path / "file").write_text("")
    for folder in ("home", "file", "results"):
        with pytest.raises(BadInput):
            built(results, tmp_path / folder)
    assert (tmp_path / "home" / "runs" / "mine.html").read_text() == "mine"
    assert not (results / MARK).exists()


def test_the_site_of_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert built(tmp_path / "results", tmp_path / "site").written == 3
    assert "Nothing was run yet" in (tmp_path / "site" / "index.html").read_text()
    check(tmp_path / "site")
