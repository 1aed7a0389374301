"""`lab report`: a session's reports, made again from its bundles."""

from __future__ import annotations

import dataclasses

import typer

from lab.cli.find import find, is_session, newest_session
from lab.cli.options import ResultsFolder, RunOrSession
from lab.errors import BadInput


def report(
    name: RunOrSession = "",
    results: ResultsFolder = None,
) -> None:
    """Write a session's reports again (HTML, Markdown, JUnit XML, KTAP, JSON Lines)."""
    from lab.paths import results_root
    from lab.plan.session import PLAN_FILE, load

    root = (results or results_root()).resolve()
    found = find(name, root) if name else newest_session(root)
    folder = found if is_session(found) else found.parent
    if not is_session(folder):
        raise BadInput([f"{found} is a run without its session"], hint=f"lab show {found}")
    from lab.reports import REPORT, write_reports

    # The folder may have been moved since the plan was made, from another machine even.
    plan = dataclasses.replace(load((folder / PLAN_FILE).read_bytes()), folder=folder)
    write_reports(plan)
    typer.echo(folder / REPORT)
