"""From bundles on disk to verdicts and reports. Needs nothing that boots a machine.

Renderers are imported by what renders: a worker judges its runs and writes no report.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from lab.collect.bundle import MANIFEST, read_bundle
from lab.errors import BadInput
from lab.evidence.bundle import parse
from lab.evidence.selftest import RECORD, parse_selftest
from lab.plan.selftests import row_for
from lab.plan.session import PLAN_FILE, SessionPlan, load
from lab.report import RunResult, Session, jsonl
from lab.report.jsonl import as_record
from lab.report.plot import prepare as prepare_to_draw
from lab.report.plot import standalone
from lab.report.selftest import SelftestResult
from lab.verdict.decide import judge
from lab.verdict.selftest import judge_selftest

REPORT = "report.html"
RESULTS = "results.jsonl"
TABLE = "table.md"
CURVE = "curve.svg"


def judged(bundle: Path, relative: str) -> RunResult:
    """Bundle on disk -> Evidence -> Findings -> Verdict. Raises BadInput when there is no readable manifest."""
    evidence = parse(read_bundle(bundle))
    return RunResult(evidence.manifest, judge(evidence), relative, evidence.timing)


def judged_selftest(bundle: Path) -> SelftestResult:
    """The same for the bundle of a selftest. Raises BadInput when there is no readable record."""
    evidence = parse_selftest(read_bundle(bundle))
    return SelftestResult(evidence.record, judge_selftest(evidence, row_for(evidence.record.test, None)), str(bundle))


def selftests_in(path: Path) -> list[Path]:
    """A selftest's bundle itself, or those in the folder of a session of them."""
    return [path] if (path / RECORD).is_file() else sorted(p.parent for p in path.glob(f"*/{RECORD}"))


def write_verdict(bundle: Path, result: RunResult) -> None:
    """The verdict as JSON; can be made again at any time."""
    record = as_record(result, PurePosixPath(bundle.parent.as_posix()))
    (bundle / "verdict.json").write_text(json.dumps(record, indent=1))


def write_curve(bundle: Path, result: RunResult) -> None:
    """The picture of the ledger; can be made again at any time."""
    picture = standalone(result.verdict.ledger, f"{result.manifest.run}")
    (bundle / CURVE).write_text(picture, encoding="utf-8")


class Draughtsman:
    """Judges and draws the runs of a session folder while others go on, so that its reports do not wait for that.

    A bundle that cannot be read, or whose curve cannot be written, is left to `write_reports`, which tells of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, RunResult] = {}
        self._pool = ThreadPoolExecutor(1, "draughtsman")
        self._pool.submit(prepare_to_draw)

    def take(self, run: str) -> None:
        """A run has left its bundle."""
        self._pool.submit(self._draw, run)

    def finish(self) -> Mapping[str, RunResult]:
        """Wait for all that was taken; the results by run."""
        self._pool.shutdown()
        return self._known

    def _draw(self, run: str) -> None:
        with contextlib.suppress(BadInput, OSError):
            result = judged(self.folder / run, run)
            self._known[run] = result
            write_curve(self.folder / run, result)


def read_session(folder: Path, known: Mapping[str, RunResult] | None = None) -> Session:
    """Judge every bundle of a session folder, in the plan's order. Raises BadInput on an unreadable manifest.

    known  results by run that this process has judged already, from the bundles of this folder
    """
    known = known or {}
    plan = load((folder / PLAN_FILE).read_bytes())
    found = [run.id for run in plan.runs if (folder / run.id / MANIFEST).is_file()]
    started = datetime.datetime.fromisoformat(plan.started)
    ended = max((folder / name / MANIFEST).stat().st_mtime for name in found) if found else started.timestamp()
    return Session(
        name=plan.name,
        started=plan.started,
        results=tuple(known.get(name) or judged(folder / name, name) for name in found),
        seconds=ended - started.timestamp(),
        command=plan.command,
        pairs=plan.pairs,
    )


def write_reports(plan: SessionPlan, known: Mapping[str, RunResult] | None = None) -> Session:
    """HTML, Markdown, JUnit XML, KTAP and JSON Lines of a session, in its folder. `known` is that of `read_session`."""
    from lab.report import html, junit, ktap, markdown

    session = read_session(plan.folder, known)
    curves = {path.parent.name: path.read_text("utf-8", "replace") for path in plan.folder.glob(f"*/{CURVE}")}
    (plan.folder / REPORT).write_text(html.render(session, curves), encoding="utf-8")
    (plan.folder / TABLE).write_text(markdown.render(session), encoding="utf-8")
    (plan.folder / "junit.xml").write_bytes(junit.render(session))
    (plan.folder / "results.ktap").write_text(ktap.render(session))
    (plan.folder / RESULTS).write_text(jsonl.render(session, PurePosixPath(plan.folder.as_posix())))
    return session


def overview_text(session: Session) -> str:
    """The verdict table as plain text, 120 columns."""
    from rich.console import Console

    from lab.report import text

    out = io.StringIO()
    Console(file=out, width=120, no_color=True).print(text.overview(session))
    return out.getvalue()
