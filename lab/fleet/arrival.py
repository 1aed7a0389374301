# SPDX-License-Identifier: GPL-2.0-only
"""Bundles from a host, where they arrive: each is judged here, and only then is it a run of the session.

What a host says of its runs is compared with that, and is worth nothing else. A run counts once: what comes of an
attempt that was given up, or of a run that is there already, is kept beside the session and not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.archive.reports import judged, write_verdict
from lab.collect.stored import DERIVED, read_file
from lab.contracts import MANIFEST
from lab.errors import BadInput
from lab.evidence import bounds
from lab.experiments.found import case_named
from lab.fleet.batch import RESULT, is_done
from lab.host.filecache import locked
from lab.host.records import parse_record
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.report.model import RunResult
from lab.text.words import clipped, printable
from lab.verdict.predict import foretold

FLEET = "fleet"
"""The folder of a session for what its hosts did."""


@dataclass
class Taken:
    """What came of one stream: results that count, why others do not, and what the host said that is not so."""

    counted: dict[str, RunResult] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    lies: list[str] = field(default_factory=list)


def take(
    plan: SessionPlan, runs: Sequence[Run], unpacked: Path, *, given_up: bool = False, interrupted: bool = False
) -> Taken:
    """Judge what a host has sent for some runs of a session, and move what counts into the session's folder.

    given_up     the attempt is over: all of it is kept where it is
    interrupted  the session itself ends: bundles that say so count
    """
    taken, said = Taken(), _said(unpacked)
    for run in runs:
        bundle = unpacked / run.id
        if not bundle.is_dir():
            continue
        try:
            result = _result(plan, run, bundle)
        except BadInput as exc:
            taken.refused[run.id] = clipped("; ".join(exc.problems), 500)
            continue
        taken.lies += _lies(run, result, said)
        if given_up:
            taken.refused[run.id] = "the attempt was given up"
        elif not interrupted and not is_done(bundle):
            taken.refused[run.id] = "it was interrupted"
        elif not _move(plan, run, bundle, result):
            taken.refused[run.id] = "the run is there already"
        else:
            taken.counted[run.id] = result
    return taken


def _result(plan: SessionPlan, run: Run, bundle: Path) -> RunResult:
    """The verdict that its evidence gets here. Raises BadInput when it is no evidence for this run."""
    for name in DERIVED:  # a host's picture and its word for the verdict
        (bundle / name).unlink(missing_ok=True)
    result = judged(bundle, run.id)
    differ = [
        (key, clipped(printable(str(there)), 80), here)
        for key, there, here in _told(plan, run, result)
        if there != here
    ]
    if differ:
        raise BadInput(
            [f"{run.id}: evidence of another run: {key}: {there!r}, not {here!r}" for key, there, here in differ]
        )
    return result


def _told(plan: SessionPlan, run: Run, result: RunResult) -> Iterator[tuple[str, object, object]]:
    """What the manifest says of things that were decided here, and what that was."""
    manifest, kernel = result.manifest, plan.kernel(run.kernel)
    predicted = foretold(case_named(run.case), run, kernel.release, plan.expect, skipped=bool(manifest.skip))
    yield "run", manifest.run, run.id
    yield "session", manifest.session, plan.name
    yield "case", manifest.case, run.case
    yield "nic", manifest.nic, run.nic
    yield "repeat", manifest.repeat, run.repeat
    yield "kernel", manifest.kernel.name, kernel.name
    yield "kernel.sha256", manifest.kernel.sha256, kernel.sha256
    yield "kernel.design", manifest.kernel.design, kernel.design
    yield "host.image_sha256", manifest.host.image_sha256, plan.image.sha256
    layer = plan.layer(run.layer)
    yield "layer_sha256", manifest.layer_sha256, layer.sha256 if layer else ""
    yield "predicted", manifest.predicted, predicted.value


def _said(unpacked: Path) -> Mapping[str, Any]:
    """The runs of a host's own result file; empty where there is none that can be read."""
    data = read_file(unpacked / RESULT, bounds.MANIFEST)
    try:
        told = parse_record(data or b"").get("runs", {})
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _lies(run: Run, result: RunResult, said: Mapping[str, Any]) -> Iterator[str]:
    told = said.get(run.id)
    word = told.get("word") if isinstance(told, dict) else None
    if word is not None and word != result.verdict.word.value:
        yield f"{run.id}: the host says {clipped(printable(str(word)), 20)}, its evidence {result.verdict.word.value}"


def _move(plan: SessionPlan, run: Run, bundle: Path, result: RunResult) -> bool:
    """Whether the run had no bundle yet, and has this one now."""
    target = plan.folder / run.id
    with locked(plan.folder / FLEET / "arrivals", progress=lambda _: None):
        if is_done(target):
            return False
        if target.exists():  # of a session that was interrupted, and is resumed
            free = (target.with_name(f"{target.name}.lost-{n}") for n in range(1, 10_000))
            target.rename(next(path for path in free if not path.exists()))
        bundle.rename(target)
        _sync(target)
        write_verdict(target, result)
    return True


def _sync(folder: Path) -> None:
    """The manifest's name lasts before anybody is told of it."""
    for path in (folder / MANIFEST, folder, folder.parent):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
