# SPDX-License-Identifier: GPL-2.0-only
"""`lab report`: a session's reports, made again from its bundles."""

from __future__ import annotations

from lab.cli.find import find, is_session, newest_session, pruned_of
from lab.cli.options import ResultsFolder, RunOrSession
from lab.errors import BadInput
from lab.text.terminal import say


def report(
    name: RunOrSession = "",
    results: ResultsFolder = None,
) -> None:
    """Write a session's reports again (HTML, Markdown, JUnit XML, KTAP, JSON Lines)."""
    from lab.host.paths import results_folder

    root = results_folder(results)
    found = find(name, root) if name else newest_session(root)
    folder = found if is_session(found) else found.parent
    if not is_session(folder):
        raise BadInput([f"{found} is a run without its session"], hint=f"lab show {found}")
    if gone := pruned_of(folder):
        told = (
            f"{folder}: {len(gone)} of its bundles were pruned, so its report cannot be made again; what is there stays"
        )
        raise BadInput([told], hint=f"lab archive show {folder.name}")
    from lab.archive.reports import REPORT, stored_plan, write_reports

    write_reports(stored_plan(folder))
    say(folder / REPORT)
