# SPDX-License-Identifier: GPL-2.0-only
"""`lab show`: one stored run, or the table of a session."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from lab.cli.find import bundles_of, find, is_bundle, newest_session, pruned_of
from lab.cli.options import ResultsFolder, RunOrSession
from lab.text.terminal import Console, say


def show(
    name: RunOrSession = "",
    results: ResultsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and run.")] = False,
) -> None:
    """Show a stored run in full, or the table of a session.

    The beginning of an id means the newest session that has such a run:
    [cyan]lab show hold[/cyan]
    """
    from lab.host.paths import results_folder

    root = results_folder(results)
    others: list[Path] = []
    found = find(name, root, others) if name else newest_session(root)
    if as_json:
        _as_json([found] if is_bundle(found) else bundles_of(found))
    elif is_bundle(found):
        from lab.archive.reports import judged
        from lab.report.text import show as shown

        Console().print(shown(judged(found, found.name)))
    else:
        _overview(found)
    if others:
        say(f"the newest of {len(others) + 1} that begin so; the others: {', '.join(p.name for p in others)}", err=True)


def _as_json(bundles: list[Path]) -> None:
    from lab.archive.reports import judged
    from lab.report.jsonl import as_record

    for bundle in bundles:
        say(json.dumps(as_record(judged(bundle, bundle.name), PurePosixPath(bundle.parent.as_posix()))))


def _overview(folder: Path) -> None:
    from lab.archive.reports import REPORT, read_session
    from lab.report.text import overview

    Console().print(overview(read_session(folder)))
    for bundle in bundles_of(folder):
        say(bundle.name)
    if gone := pruned_of(folder):
        say(f"pruned, and not in this table: {len(gone)}; lab archive show {folder.name}")
    if (folder / REPORT).is_file():
        say(f"report: {folder / REPORT}")
