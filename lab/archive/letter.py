# SPDX-License-Identifier: GPL-2.0-only
"""From what changed to what a mail tells of it: rows, and lines of evidence where the bundle is still there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.archive.compare import Change, Kind, compare
from lab.archive.index import Index
from lab.archive.known import bundle_of, excuse
from lab.archive.query import sessions
from lab.archive.reports import REPORT
from lab.archive.rows import KernelRow, RunRow
from lab.archive.select import escapes, history, of_session
from lab.collect.stored import read_bundle
from lab.errors import BadInput
from lab.report.mail import Letter, News, Side
from lab.report.wording import count, size
from lab.verdict.model import Word

AROUND = 3
"""Lines of a console before and behind the one that a finding points at."""
_POINTER = re.compile(r"(?P<path>[\w./-]+\.log):(?P<line>\d{1,9})")
Bisect = Callable[[Change, KernelRow, KernelRow], str]
"""Given a change, the good and the bad kernel: the command that finds the commit, "" for none."""


def news_of(index: Index, root: Path, change: Change, bisect: Bisect = lambda *_: "") -> News:
    """What a mail tells of a change."""
    run = change.witness
    assert run is not None  # noqa: S101 - every change has one
    first, other = change.first or run, change.other
    worse = change.kind not in (Kind.FIXED, Kind.NEW) or run.word not in (Word.PASS, Word.DONE)
    here = _side(index, first, str(change.after))
    there = _side(index, other, str(change.before)) if other is not None else None
    bad, good = (here, there) if worse else (there, here)
    ends = _kernel(index, other), _kernel(index, first)
    told = bisect(change, ends[0], ends[1]) if ends[0] and ends[1] and change.kind is Kind.NEW_FAIL else ""
    return News(
        kind=str(change.kind),
        where=f"{run.case_name} on {run.nic}",
        word=run.word if not run.fault else f"{run.word}, a fault of the kernel",
        was=other.word if other is not None else "",
        since=here.kernel,
        first=f"{first.started[:16].replace('T', ' ')} UTC",
        why=_moved(change) or run.why,
        worse=worse,
        good=good,
        bad=bad,
        evidence=_evidence(index, root, run) if worse else (),
        sure=_sure(change),
        reproduce=run.reproduce if run.reproduce.startswith("lab ") else "",
        bisect=told,
    )


def _sure(change: Change) -> str:
    if change.likely is None or change.kind not in (Kind.NEW_FAIL, Kind.FIXED):
        return ""
    more = f"; {count(change.needed, 'more run')} would make it sure" if change.needed else ""
    return f"{max(change.likely, 0.0001):.2%} if nothing had changed{more}"


def _moved(change: Change) -> str:
    if change.number is None:
        return ""
    name, number = change.number

    def show(value: float) -> str:
        return size(round(value)) if name == "escape" else f"{value:.3f}"

    return f"{name} {show(number.now)}, was {show(number.then)}; expected {show(number.low)} to {show(number.high)}"


def _kernel(index: Index, run: RunRow | None) -> KernelRow | None:
    found = index.take(KernelRow, "WHERE key = ?", run.kernel) if run is not None else []
    return found[0] if found else None


def _side(index: Index, run: RunRow, tally: str) -> Side:
    """A kernel as somebody who has to find it needs it."""
    kernel = _kernel(index, run)
    if kernel is None:
        return Side(run.line, (), tally)
    parts = [f"release {kernel.release}", kernel.design if kernel.design != "stock" else "", kernel.described]
    made = [f"base {kernel.base}" if kernel.base else "", f"series {kernel.series[:12]}" if kernel.series else ""]
    made += [f"fragments {kernel.fragments}" if kernel.fragments else ""]
    described = (", ".join(filter(None, parts)), ", ".join(filter(None, made)))
    lab = f"image sha256 {kernel.sha256[:12]}, run {run.started[:10]} by lab {run.lab_version}"
    return Side(kernel.name, (*filter(None, described), lab), tally)


def _evidence(index: Index, root: Path, run: RunRow) -> tuple[str, ...]:
    """Findings, the ledger, and what stands in the console where a finding points."""
    findings = index.findings(run.key)
    told = [f"{f.word} {f.rule}: {f.message} [{f.pointer}]" for f in findings[:3]]
    sizes = {"held": run.held, "charged": run.charged, "escape": run.escaped, "limit": run.limited}
    known = [f"{name} {size(value)}" for name, value in sizes.items() if value is not None]
    told += [", ".join(known)] if known else []
    for finding in findings[:3]:
        if found := _POINTER.fullmatch(finding.pointer):
            told += _quoted(bundle_of(index, root, run), found["path"], int(found["line"]))
    return tuple(told)


def _quoted(bundle: Path | None, path: str, line: int) -> list[str]:
    with contextlib.suppress(BadInput, OSError, KeyError):
        files = read_bundle(bundle) if bundle is not None else {}
        if path in files:
            lines = files[path].decode(errors="replace").splitlines()
            return lines[max(0, line - 1 - AROUND) : line + AROUND]
    return []


def session_letter(index: Index, root: Path, folder: Path, reported_by: str = "") -> tuple[Letter, str]:
    """What changed in a session since the one before it, and when it began. Raises BadInput when there is none."""
    all_of_them = sessions(index, most=None)
    at = next((n for n, each in enumerate(all_of_them) if each.row.folder == folder.name), None)
    if at is None or at + 1 >= len(all_of_them):
        raise BadInput([f"{folder.name}: there is no session before it to compare with"], hint="lab archive list")
    after, before = of_session(all_of_them[at]), of_session(all_of_them[at + 1])
    found = compare(before.runs, after.runs, lambda cell, first: history(index, cell, first), escapes)
    changes = [excuse(index, root, change, after.runs) for change in found]
    return letter_of(index, root, changes, after.called, reported_by, str(folder / REPORT)), all_of_them[at].started


def letter_of(index: Index, root: Path, changes: Sequence[Change], about: str, reported_by: str, report: str) -> Letter:
    """A letter of all that is news among some changes, or was mended."""
    news = [change for change in changes if change.is_news or (change.kind is Kind.FIXED and not change.known)]
    still = [c for c in changes if c not in news and (c.after.failed or c.known)]
    known = sum(1 for change in still if change.known)
    told = tuple(news_of(index, root, change) for change in news)
    return Letter(about, told, len(still), known, (), reported_by, report)
