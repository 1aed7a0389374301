# SPDX-License-Identifier: GPL-2.0-only
"""The session as one HTML file: no script, no request, readable from a mail attachment."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from lab.evidence.manifest import HostRecord, KernelRecord
from lab.experiments.found import all_cases, all_designs, all_experiments
from lab.report import plot, waterfall, wording
from lab.report.matrix import arrange, in_order
from lab.report.model import RunResult, Session
from lab.text.words import printable
from lab.verdict.model import Finding, Word

MOST_SHOWN = 20_000
"""Characters of one text on the page."""

SHOWN_AS_TEXT = frozenset({"", ".log", ".jsonl", ".json", ".stderr"})
"""Files of a bundle that a page may link to: a browser that opens them runs nothing that is in them."""


@dataclass(frozen=True)
class RunView:
    """One run as the page shows it. `anchor` is its unique id; `svg` is empty when the ledger has no points.

    `waterfall` is empty where the bundle does not say where the time went; `record` is a link to its manifest, or "".
    """

    anchor: str
    result: RunResult
    findings: tuple[FindingView, ...]
    svg: Markup
    waterfall: Markup
    open: bool
    record: str


@dataclass(frozen=True)
class FindingView:
    """A finding with the link to what it points at; `href` is empty when there is none."""

    finding: Finding
    href: str


def render(session: Session, drawn: Mapping[str, str] | None = None) -> str:
    """The page as text, to be stored as UTF-8 beside the bundles that it links to.

    drawn  curves by bundle, as `plot.standalone` made them in this process; what is not there is drawn
    """
    matrix = arrange(session.results)
    runs = _views(in_order(matrix), drawn or {})
    return page().render(
        session=session,
        tables=matrix.tables() if runs else (),
        runs=runs,
        anchors={id(run.result): run.anchor for run in runs},
        wrong=matrix.surprises(),
        kernels=_kernels(session.results),
        hosts=_hosts(session.results),
        question=_question(session.results),
    )


def _question(results: Sequence[RunResult]) -> str:
    """What the experiments ask whose cases were run."""
    ran = {result.manifest.case for result in results}
    asked = (e.question for e in all_experiments().values() if not ran.isdisjoint(e.cases))
    return " ".join(dict.fromkeys(asked))


@functools.cache
def page() -> Template:
    """The page's template, compiled with all that it includes: 0.2 s that can be spent before there is a session."""
    environment = _environment()
    for included in environment.list_templates(filter_func=lambda name: not name.startswith("site/")):
        environment.get_template(included)
    return environment.get_template("report.html.j2")


def template(name: str) -> Template:
    """One of the templates; every text that reaches it is escaped, printable and bounded."""
    return _environment().get_template(name)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every value that reaches the page goes through here.
        finalize=lambda value: printable(value, MOST_SHOWN) if type(value) is str else value,
    )
    environment.globals.update(w=wording, marks_of=plot.marks_of, id=id, href=href)
    environment.globals.update(
        series_of=plot.series_of, cases=all_cases(), designs=all_designs(), kinds=waterfall.KINDS
    )
    return environment


def _views(results: Sequence[RunResult], drawn: Mapping[str, str]) -> list[RunView]:
    first_fail = next((r for r in results if r.verdict.word is Word.FAIL), None)
    return [_view(n, r, r.disagrees or r is first_fail, drawn.get(r.bundle, "")) for n, r in enumerate(results, 1)]


def _view(number: int, result: RunResult, is_open: bool, drawn: str) -> RunView:
    # The number makes it unique, the name lets a reader guess it.
    anchor = f"run{number}-{re.sub('[^A-Za-z0-9]+', '-', result.manifest.run)}"
    record = href(result.bundle, "manifest.json")
    return view(result, anchor, lambda pointer: href(result.bundle, pointer), record, drawn=drawn, is_open=is_open)


def view(
    result: RunResult, anchor: str, link: Callable[[str], str], record: str, *, drawn: str = "", is_open: bool = True
) -> RunView:
    """A run for the template `run.html.j2`.

    link  from a finding's pointer to where a page shows it, "" for nowhere
    """
    findings = tuple(FindingView(f, link(f.pointer)) for f in wording.worst_first(result.verdict.findings))
    ledger = result.verdict.ledger
    title = f"Ledger of {ledger.client}, {result.manifest.case} on {result.manifest.kernel.name}, {result.manifest.nic}"
    svg = plot.curve(ledger, f"{anchor}-", title, drawn) if ledger.points else ""
    title = f"Where the time of {result.manifest.run} went"
    fall = waterfall.svg(result.timing, f"{anchor}-time-", title) if result.timing else ""
    return RunView(anchor, result, findings, Markup(svg), Markup(fall), is_open, record)  # noqa: S704 - ElementTree escapes


def href(bundle: str, pointer: str) -> str:
    """Relative link to the file of a pointer (`file` or `file:line`) in a bundle; "" to one that is no plain text."""
    path = re.sub(r":\d+$", "", pointer)
    harmless = path and PurePosixPath(path).suffix in SHOWN_AS_TEXT
    return quote(f"{bundle}/{path}", safe="/", errors="replace") if harmless else ""


def _kernels(results: Sequence[RunResult]) -> list[KernelRecord]:
    return list(dict.fromkeys(r.manifest.kernel for r in results))


def _hosts(results: Sequence[RunResult]) -> list[HostRecord]:
    return list(dict.fromkeys(r.manifest.host for r in results))
