# SPDX-License-Identifier: GPL-2.0-only
"""What is derived from bundles: made once in a session, beside the runs; never believed of a bundle from elsewhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.archive import reports
from lab.archive.reports import (
    CURVE,
    REPORT,
    VERDICT,
    Draughtsman,
    Known,
    judged,
    read_session,
    stored_plan,
    told,
    write_curve,
    write_reports,
    write_verdict,
)
from lab.collect.stored import Stored
from lab.errors import BadInput
from lab.evidence.bundle import parse
from lab.evidence.model import Evidence
from lab.plan.session import EVENTS_FILE, PLAN_FILE
from lab.report.model import RunResult
from lab.report.plot import OWN, SVG, standalone
from lab.session.conduct import Listener, News
from lab.verdict.model import Word
from tests.unit.cli.conftest import Lab, write_run, write_session
from tests.unit.verdict.machine import KERNELS

NAME = "20260101-000000-aaaa"
SCRIPT = f'<svg xmlns="{SVG}" onload="alert(1)"><script>alert(2)</script></svg>'


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose bundles were parsed, in order."""
    runs: list[str] = []

    def counting(files: Stored) -> Evidence:
        evidence = parse(files)
        runs.append(evidence.manifest.run)
        return evidence

    monkeypatch.setattr(reports, "parse", counting)
    return runs


def test_what_was_drawn_beside_is_what_the_reports_say(tmp_path: Path) -> None:
    folder, bundles = write_session(tmp_path, NAME, ("hold", "release"))
    draughtsman = Draughtsman(folder)
    for bundle in bundles:
        draughtsman.take(bundle.name)
    known = draughtsman.finish()
    assert {name: result.verdict for name, result in known.results.items()} == {
        bundle.name: judged(bundle, bundle.name).verdict for bundle in bundles
    }
    assert dict(known.curves) == {b.name: (b / CURVE).read_text() for b in bundles}
    assert all(text.startswith("<?xml") for text in known.curves.values())
    plan = stored_plan(folder)
    session = write_reports(plan, known)
    assert [result.manifest.run for result in session.results] == [bundle.name for bundle in bundles]
    page = (folder / REPORT).read_text("utf-8")
    write_reports(plan)
    assert (folder / REPORT).read_text("utf-8") == page


def test_a_session_is_reported_by_the_plan_it_holds(tmp_path: Path) -> None:
    folder, (bundle,) = write_session(tmp_path, NAME, ("hold",))
    plan = stored_plan(folder)
    (folder / PLAN_FILE).write_bytes((folder / PLAN_FILE).read_bytes()[:200])
    assert [result.manifest.run for result in write_reports(plan).results] == [bundle.name]
    with pytest.raises(BadInput, match=r"plan\.json is damaged"):
        read_session(folder)


def test_a_bundle_that_cannot_be_read_is_left_to_the_reports(tmp_path: Path) -> None:
    folder, (bad, good) = write_session(tmp_path, NAME, ("hold", "release"))
    (bad / "manifest.json").write_text("{")
    draughtsman = Draughtsman(folder)
    for name in (bad.name, "absent", good.name):
        draughtsman.take(name)
    assert draughtsman.finish().results.keys() == {good.name}


def test_within_a_session_a_bundle_is_judged_once_and_read_back_after(tmp_path: Path, parsed: list[str]) -> None:
    folder, (bundle,) = write_session(tmp_path, NAME, ("hold",))
    mine = judged(bundle, bundle.name)  # as the worker does
    write_verdict(bundle, mine)
    assert parsed == [bundle.name]
    draughtsman = Draughtsman(folder)
    draughtsman.take(bundle.name)
    known = draughtsman.finish()
    assert known.results == {bundle.name: mine}
    write_reports(stored_plan(folder), known)
    with (folder / EVENTS_FILE).open("w") as events:
        events.write(json.dumps({"event": "verdict", "worker": "gw0", "run": bundle.name}) + "\n")
    heard: list[tuple[int, RunResult]] = []
    news = News(stored_plan(folder), Listener(verdict=lambda _, number, result: heard.append((number, result))))
    news.catch_up()
    assert (heard, news.results) == ([(1, mine)], {bundle.name: mine})
    news.catch_up()
    assert len(heard) == 1
    assert parsed == [bundle.name]


@pytest.mark.parametrize("case", ["hold", "cost", "bystander", "dead-memcg"])
def test_a_verdict_is_read_back_as_it_was(tmp_path: Path, parsed: list[str], case: str) -> None:
    bundle = write_run(tmp_path / "b", case)
    mine = judged(bundle, "b")
    if mine.verdict.cost is not None:
        endless = replace(mine.verdict.cost.sure, low=0.0, high=float("inf"))
        mine = replace(mine, verdict=replace(mine.verdict, cost=replace(mine.verdict.cost, sure=endless)))
    write_verdict(bundle, mine)
    assert told(bundle, "b") == mine
    assert len(parsed) == 1
    record = json.loads((bundle / VERDICT).read_bytes(), parse_constant=pytest.fail)
    assert (record["run"], record["verdict"]) == ("b", mine.verdict.word)


def test_a_verdict_of_another_manifest_or_by_other_code_is_not_read_back(
    tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_run(tmp_path / "b", "hold")
    write_verdict(bundle, judged(bundle, "b"))
    whole = (bundle / VERDICT).read_bytes()
    manifest = (bundle / "manifest.json").read_bytes()
    for change in (b"", b"{", b"[" * 100_000, b"null", whole[:-20], b'{"judgement": {}}'):
        (bundle / VERDICT).write_bytes(change)
        told(bundle, "b")
    (bundle / VERDICT).write_bytes(whole)
    (bundle / "manifest.json").write_bytes(manifest + b" ")
    told(bundle, "b")
    (bundle / "manifest.json").write_bytes(manifest)
    assert len(parsed) == 8
    told(bundle, "b")
    assert len(parsed) == 8
    monkeypatch.setattr(reports, "source", lambda: "of tomorrow")
    told(bundle, "b")
    assert len(parsed) == 9


def forged(bundle: Path) -> None:
    """A verdict that somebody made up, with all that a reader within a session asks for."""
    result = judged(bundle, bundle.name)
    write_verdict(bundle, replace(result, verdict=replace(result.verdict, word=Word.PASS, findings=())))


def test_outside_of_its_session_no_verdict_is_believed(lab: Lab, tmp_path: Path) -> None:
    folder, (bundle,) = write_session(tmp_path / "results", NAME, ("hold",))
    write_run(bundle, "hold", kernel=KERNELS["stock"])
    forged(bundle)
    assert told(bundle, "b").verdict.word is Word.PASS  # what a session would read back
    assert lab("judge", bundle).stdout.startswith("FAIL")
    assert lab("show", bundle).stdout.startswith("FAIL")
    assert "FAIL" in lab("show", NAME).stdout
    assert lab("report", NAME).exit_code == 0
    assert '"verdict": "FAIL"' in (folder / "results.jsonl").read_text()
    assert told(bundle, "b").verdict.word is Word.FAIL  # made anew


def test_no_picture_that_a_bundle_brought_reaches_the_report(lab: Lab, tmp_path: Path) -> None:
    folder, (bundle,) = write_session(tmp_path / "results", NAME, ("hold",))
    ours = standalone(judged(bundle, "b").verdict.ledger, "x")
    stamped = ours.replace("</svg>", "<script>alert(2)</script></svg>")
    assert stamped != ours
    for picture in (SCRIPT, stamped):
        (bundle / CURVE).write_text(picture)
        assert lab("report", NAME).exit_code == 0
        page = (folder / REPORT).read_text()
        assert "alert" not in page
        assert "<script" not in page
        assert f'id="{OWN}' not in page
        assert "alert" not in (bundle / CURVE).read_text()


@pytest.mark.parametrize("name", [REPORT, "table.md", "junit.xml", "results.ktap", "results.jsonl"])
def test_reports_write_through_no_link(lab: Lab, tmp_path: Path, name: str) -> None:
    folder, (bundle,) = write_session(tmp_path / "results", NAME, ("hold",))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for link in (folder / name, bundle / VERDICT, bundle / CURVE):
        link.symlink_to(victim)
    assert lab("report", NAME).exit_code == 0
    assert victim.read_text() == "precious"
    assert not any(link.is_symlink() for link in (folder / name, bundle / VERDICT, bundle / CURVE))


@pytest.mark.parametrize("name", [VERDICT, CURVE])
def test_a_fifo_in_place_of_what_is_derived_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    bundle = write_run(tmp_path / "b", "hold")
    os.mkfifo(bundle / name)
    assert told(bundle, "b").verdict.word is Word.ERROR  # a bundle holds files
    write_curve(bundle, judged(bundle, "b"))
    write_verdict(bundle, judged(bundle, "b"))
    assert judged(bundle, "b").verdict.word is Word.PASS


def undigested(old: str, new: str) -> Callable[[str], str]:
    """The plan with that replaced and nothing that tells: plans had no digest once."""

    def change(text: str) -> str:
        record = json.loads(text.replace(old, new))
        del record["digest"]
        return json.dumps(record)

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: "{", "damaged: Expecting"),
        (lambda text: "", "damaged: Expecting"),
        (lambda text: "[" * 100_000, "damaged: it is nested too deeply"),
        (lambda text: text.replace("2026-01-01", "2026-01-02"), "not what its digest says"),
        (undigested("2026-01-01T00:00:00+00:00", "yesterday"), "started: 'yesterday'"),
        (undigested('"nic": "e1000e-split"', '"nic": "../../x"'), "no name of a run"),
    ],
)
def test_a_plan_that_cannot_be_is_bad_input(tmp_path: Path, change: object, problem: str) -> None:
    folder, _ = write_session(tmp_path, NAME, ("hold",))
    plan = folder / PLAN_FILE
    assert callable(change)
    plan.write_text(change(plan.read_text()))
    with pytest.raises(BadInput, match=problem) as refusal:
        read_session(folder)
    assert all(PLAN_FILE in each for each in refusal.value.problems)


def test_what_is_known_is_neither_judged_nor_drawn_again(tmp_path: Path, parsed: list[str]) -> None:
    folder, (bundle,) = write_session(tmp_path, NAME, ("hold",))
    result = judged(bundle, bundle.name)
    write_reports(stored_plan(folder), Known({bundle.name: result}, {bundle.name: write_curve(bundle, result)}))
    assert parsed == [bundle.name]
    assert re.search("<svg class=.curve", (folder / REPORT).read_text())
