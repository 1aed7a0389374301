"""Runs are drawn while others go on; what that leaves out, the reports make up for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.plan.session import PLAN_FILE, load
from lab.reports import CURVE, REPORT, Draughtsman, judged, write_reports
from tests.unit.cli.conftest import write_session


def test_what_was_drawn_beside_is_what_the_reports_say(tmp_path: Path) -> None:
    folder, bundles = write_session(tmp_path, "20260101-000000-aaaa", ("hold", "release"))
    draughtsman = Draughtsman(folder)
    for bundle in bundles:
        draughtsman.take(bundle.name)
    known = draughtsman.finish()
    assert {name: result.verdict for name, result in known.items()} == {
        bundle.name: judged(bundle, bundle.name).verdict for bundle in bundles
    }
    assert all((bundle / CURVE).read_text("utf-8").startswith("<?xml") for bundle in bundles)
    plan = replace(load((folder / PLAN_FILE).read_bytes()), folder=folder)
    session = write_reports(plan, known)
    assert [result.manifest.run for result in session.results] == [bundle.name for bundle in bundles]
    page = (folder / REPORT).read_text("utf-8")
    write_reports(plan)
    assert (folder / REPORT).read_text("utf-8") == page


def test_a_bundle_that_cannot_be_read_is_left_to_the_reports(tmp_path: Path) -> None:
    folder, (bad, good) = write_session(tmp_path, "20260101-000000-aaaa", ("hold", "release"))
    (bad / "manifest.json").write_text("{")
    draughtsman = Draughtsman(folder)
    for name in (bad.name, "absent", good.name):
        draughtsman.take(name)
    assert draughtsman.finish().keys() == {good.name}
