# SPDX-License-Identifier: GPL-2.0-only
"""From bundles on disk to verdicts and reports. Needs nothing that boots a machine.

Renderers are imported by what renders: a worker judges its runs and writes no report.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lab.collect.bundle import MANIFEST, file_mode, read_bundle, write_whole
from lab.collect.stored import Stored, read_file
from lab.errors import BadInput
from lab.evidence.bounds import OTHER
from lab.evidence.bundle import parse, read_manifest
from lab.evidence.names import TIMING
from lab.evidence.timing import parse_timing
from lab.experiments.found import all_cases, case_named, older_records
from lab.host.paths import cache_root, project_root, suites_dir
from lab.plan.session import PLAN_FILE, SessionPlan, load
from lab.report import RunResult, Session, jsonl
from lab.report.judgement import dump_judgement, load_judgement
from lab.report.plot import prepare as prepare_to_draw
from lab.report.plot import standalone
from lab.verdict.decide import judge

REPORT = "report.html"
RESULTS = "results.jsonl"
TABLE = "table.md"
CURVE = "curve.svg"
VERDICT = "verdict.json"

ROOMS = (".", "evidence", "plan", "spec", "verdict", "experiments", "report")
"""Where the code lies that makes a result of a bundle, beside suites/ and the experiments from elsewhere."""


def judged(bundle: Path, relative: str) -> RunResult:
    """Bundle on disk -> Evidence -> Findings -> Verdict. Raises BadInput when there is no readable manifest."""
    return judged_files(read_bundle(bundle), relative)


def judged_files(files: Stored, relative: str) -> RunResult:
    """The same of a bundle's files."""
    record = next((name for name in older_records() if name in files and MANIFEST not in files), None)
    if record is not None:
        return _judged_older(files, record, relative)
    evidence = parse(files)
    return RunResult(evidence.manifest, judge(evidence, case_named(evidence.manifest.case)), relative, evidence.timing)


def _judged_older(files: Mapping[str, bytes], record: str, relative: str) -> RunResult:
    """A bundle of before. What a rule says of the manifest, it says of the record that stands for it."""
    evidence, case = older_records()[record](files)
    verdict = judge(evidence, case)
    found = (f if f.pointer.partition(":")[0] in files else replace(f, pointer=record) for f in verdict.findings)
    return RunResult(evidence.manifest, replace(verdict, findings=tuple(found)), relative)


def told(bundle: Path, relative: str) -> RunResult:
    """The result of a run of this session: as whoever ran it judged it, or judged anew where that cannot be read back.

    Not for a bundle that may come from elsewhere: nobody has compared its files with its manifest.
    """
    data, files = read_file(bundle / VERDICT, OTHER), read_bundle(bundle)
    verdict = None
    if data is not None and MANIFEST in files:
        verdict = load_judgement(data, files.record(MANIFEST).sha256, source())
    if verdict is None:
        return judged(bundle, relative)
    timing = parse_timing(files[TIMING]) if TIMING in files else None
    return RunResult(read_manifest(files), verdict, relative, timing)


@functools.cache
def source() -> str:
    """A hash of the code that makes a verdict of a bundle's bytes."""
    digest, root = hashlib.sha256(), project_root()
    general = (path for room in ROOMS for path in (root / "lab").glob(f"{room}/*.py"))
    folders = {suites_dir(), *(Path(case.file).parents[1] for case in all_cases().values())}
    own = {path for folder in folders for path in folder.rglob("*.py")}
    for path in sorted((*general, *own)):
        digest.update(f"{path} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def write_verdict(bundle: Path, result: RunResult) -> None:
    """The verdict as JSON; can be made again at any time."""
    manifest = Stored(bundle).record(MANIFEST).sha256
    data = dump_judgement(result, PurePosixPath(bundle.parent.as_posix()), manifest, source())
    write_whole(bundle / VERDICT, data, file_mode())


def write_curve(bundle: Path, result: RunResult) -> str:
    """The picture of the ledger; can be made again at any time."""
    picture = standalone(result.verdict.ledger, f"{result.manifest.run}")
    write_whole(bundle / CURVE, picture.encode(), file_mode())
    return picture


@dataclass(frozen=True)
class Known:
    """What this process has made of a session's bundles, by run: results, and curves as `write_curve` drew them."""

    results: Mapping[str, RunResult] = field(default_factory=dict)
    curves: Mapping[str, str] = field(default_factory=dict)


class Draughtsman:
    """Draws the runs of a session folder while others go on, so that its reports do not wait for that.

    A bundle that cannot be read, or whose curve cannot be written, is left to `write_reports`, which tells of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results: dict[str, RunResult] = {}
        self._curves: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(1, "draughtsman")
        self._pool.submit(prepare_to_draw)

    def take(self, run: str) -> None:
        """A run has left its bundle."""
        self._pool.submit(self._draw, run)

    def finish(self) -> Known:
        """Wait for all that was taken."""
        self._pool.shutdown()
        return Known(self._results, self._curves)

    def _draw(self, run: str) -> None:
        from lab.archive.fill import fill_one

        with contextlib.suppress(BadInput, OSError):
            result = told(self.folder / run, run)
            self._results[run] = result
            fill_one(self.folder, run, result)
            self._curves[run] = write_curve(self.folder / run, result)


def stored_plan(folder: Path) -> SessionPlan:
    """The plan of a session that may come from elsewhere. Raises BadInput when it cannot be read."""
    hint = "lab judge RUN needs no plan"
    try:
        plan = replace(load(read_file(folder / PLAN_FILE, OTHER) or b"", cache_root()), folder=folder)
    except BadInput as exc:
        raise BadInput([f"{folder}: {problem}" for problem in exc.problems], hint=hint) from exc
    try:
        datetime.datetime.fromisoformat(plan.started)
    except ValueError as exc:
        raise BadInput([f"{folder / PLAN_FILE}: started: {plan.started!r}"], hint=hint) from exc
    if strange := [run.id for run in plan.runs if run.id != PurePosixPath(run.id).name or run.id in ("", ".", "..")]:
        raise BadInput([f"{folder / PLAN_FILE}: {name!r} is no name of a run" for name in strange[:10]])
    return plan


def read_session(folder: Path) -> Session:
    """Judge all bundles of a session folder, in its plan's order. Raises BadInput on an unreadable plan or manifest."""
    return session_of(stored_plan(folder))


def session_of(plan: SessionPlan, known: Mapping[str, RunResult] | None = None) -> Session:
    """A session by the plan that its own process holds, whatever became of the file. Raises BadInput on a manifest.

    known  results by run that this process has already, from the bundles of the plan's folder
    """
    known, folder = known or {}, plan.folder
    found = [run.id for run in plan.runs if (folder / run.id / MANIFEST).is_file()]
    started = datetime.datetime.fromisoformat(plan.started)
    ended = max((folder / name / MANIFEST).stat().st_mtime for name in found) if found else started.timestamp()
    return Session(
        name=plan.name,
        started=plan.started,
        results=tuple(excused(known.get(name) or judged(folder / name, name), folder / name) for name in found),
        seconds=ended - started.timestamp(),
        command=plan.command,
        pairs=plan.pairs,
    )


def excused(result: RunResult, bundle: Path) -> RunResult:
    """A result with the known issues that it is one of."""
    from lab.archive.known import known_of_result

    return known_of_result(result, bundle)


def write_reports(plan: SessionPlan, known: Known | None = None) -> Session:
    """HTML, Markdown, JUnit XML, KTAP and JSON Lines of a session, in its folder.

    known  of this process; every other bundle is judged, and what is derived from it is made, anew
    """
    from lab.report import html, junit, ktap, markdown

    known = known or Known()
    session = session_of(plan, known.results)
    curves = {result.bundle: _derived(plan.folder, result, known) for result in session.results}
    write_whole(plan.folder / REPORT, html.render(session, curves).encode())
    write_whole(plan.folder / TABLE, markdown.render(session).encode())
    write_whole(plan.folder / "junit.xml", junit.render(session))
    write_whole(plan.folder / "results.ktap", ktap.render(session).encode())
    write_whole(plan.folder / RESULTS, jsonl.render(session, PurePosixPath(plan.folder.as_posix())).encode())
    return session


def _derived(folder: Path, result: RunResult, known: Known) -> str:
    """The curve of a run; with it and its verdict in the bundle as they are made today."""
    run = result.bundle
    if run not in known.results:
        write_verdict(folder / run, result)
    return known.curves.get(run) or write_curve(folder / run, result)


def overview_text(session: Session) -> str:
    """The verdict table as plain text, 120 columns."""
    from lab.report import text
    from lab.text.terminal import Console

    out = io.StringIO()
    Console(file=out, width=120, no_color=True).print(text.overview(session))
    return out.getvalue()
