# SPDX-License-Identifier: GPL-2.0-only
"""`lab judge`: what rules say of bundles on disk. Needs nothing that boots a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.exits import code_of
from lab.cli.find import bundles_of, is_bundle, is_session, sessions
from lab.errors import BadInput
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.report.model import RunResult


def judge(
    bundles: Annotated[list[Path], typer.Argument(help="Folders of runs, sessions, or of several of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and run.")] = False,
) -> None:
    """Judge stored runs again, from their bytes alone.

    Needs neither QEMU nor libvirt, and gives the verdict that the run gave
    where it was made.

    Exit code: [bold]0[/bold] as predicted, [bold]1[/bold] another verdict, [bold]2[/bold] no such
    bundle, [bold]3[/bold] a MISS or ERROR that was not predicted.

    [cyan]lab judge results/*/hold.virtio.*[/cyan]
    """
    from lab.archive.reports import judged

    results: list[RunResult] = []
    problems: list[str] = []
    for path in _expanded(bundles, problems):
        try:
            results.append(judged(path, path.name))
        except BadInput as exc:
            problems += [f"{path}: {problem}" for problem in exc.problems]
        else:
            _tell(results[-1], path, as_json=as_json)
    if problems:
        raise BadInput(problems, hint="give the folder of a run, the one that has a manifest.json, or of several")
    raise typer.Exit(code_of(results))


def _expanded(paths: Sequence[Path], problems: list[str]) -> list[Path]:
    """Bundles named or held by the sessions named; what is neither becomes a problem."""
    found: list[Path] = []
    for path in paths:
        if is_session(path) and not is_bundle(path):
            inside = bundles_of(path)
            found += inside
            problems += [] if inside else [f"{path}: this session has left no bundle"]
        elif is_bundle(path):
            found.append(path)
        elif inside := _inside(path):
            found += inside
        elif path.is_dir():
            problems.append(f"{path}: neither a run nor a folder of runs or sessions; none has a manifest.json")
        else:
            problems.append(f"{path}: there is no such folder")
    return found


def _inside(path: Path) -> list[Path]:
    """The bundles in a folder of bundles, or of sessions."""
    return [*bundles_of(path), *(b for s in sessions(path)[::-1] for b in bundles_of(s))] if path.is_dir() else []


def _tell(result: RunResult, bundle: Path, *, as_json: bool) -> None:
    if as_json:
        from lab.report.jsonl import as_record

        say(json.dumps(as_record(result, PurePosixPath(bundle.resolve().parent.as_posix()))))
        return
    from lab.report.text import show
    from lab.text.terminal import Console

    Console().print(show(result))
