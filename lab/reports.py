"""Reads a session's bundles, judges them and writes its reports beside them."""

from __future__ import annotations

import datetime
import io
from pathlib import Path, PurePosixPath

from rich.console import Console

from lab.collect.bundle import MANIFEST
from lab.plan.session import PLAN_FILE, SessionPlan, load
from lab.report import Session, html, jsonl, junit, ktap, text
from lab.run import judged

REPORT = "report.html"
RESULTS = "results.jsonl"


def read_session(folder: Path) -> Session:
    """Judge every bundle of a session folder, in the plan's order. Raises BadInput on an unreadable manifest."""
    plan = load((folder / PLAN_FILE).read_bytes())
    found = [run.id for run in plan.runs if (folder / run.id / MANIFEST).is_file()]
    started = datetime.datetime.fromisoformat(plan.started)
    ended = max((folder / name / MANIFEST).stat().st_mtime for name in found) if found else started.timestamp()
    return Session(
        name=plan.name,
        started=plan.started,
        results=tuple(judged(folder / name, name) for name in found),
        seconds=ended - started.timestamp(),
        command=plan.command,
    )


def write_reports(plan: SessionPlan) -> Session:
    """HTML, JUnit XML, KTAP and JSON Lines of a session, in its folder."""
    session = read_session(plan.folder)
    (plan.folder / REPORT).write_text(html.render(session), encoding="utf-8")
    (plan.folder / "junit.xml").write_bytes(junit.render(session))
    (plan.folder / "results.ktap").write_text(ktap.render(session))
    (plan.folder / RESULTS).write_text(jsonl.render(session, PurePosixPath(plan.folder.as_posix())))
    return session


def overview_text(plan: SessionPlan) -> str:
    """The verdict table as plain text, 120 columns."""
    out = io.StringIO()
    Console(file=out, width=120, no_color=True).print(text.overview(read_session(plan.folder)))
    return out.getvalue()
