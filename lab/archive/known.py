# SPDX-License-Identifier: GPL-2.0-only
"""Known issues on stored runs: which file holds them, and what a run gives them to match."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lab.archive.compare import Change, Kind
from lab.archive.index import Index
from lab.archive.places import path_of
from lab.archive.query import facts
from lab.archive.rows import UNSEEN, KernelRow, RunRow
from lab.collect.stored import read_bundle
from lab.errors import BadInput
from lab.host.records import tell
from lab.report.model import RunResult
from lab.spec.known import Failing, Issue, Matched, load_known, matched
from lab.verdict.model import Word

EXCUSED = (Kind.NEW_FAIL, Kind.NO_VERDICT, Kind.FLAKY, Kind.STILL, Kind.NEW)
"""What a known issue may be the reason of."""
KNOWN = "LAB_KNOWN"
"""Names the file of known issues, for this process and those it starts."""
CONSOLES = ("receiver/console.log", "sender/console.log")


def use_known(path: Path | None) -> tuple[Issue, ...]:
    """The issues of a file, which is from now on the one that is used; without one, those of `LAB_KNOWN`.

    Raises BadInput with every problem of the file.
    """
    if path is not None:
        os.environ[KNOWN] = str(path.expanduser().resolve())
    return known_issues()


def known_issues() -> tuple[Issue, ...]:
    """Those of the file that is used; none where there is none. Raises BadInput."""
    named = os.environ.get(KNOWN)
    return _read(Path(named).expanduser()) if named else ()


@functools.cache
def _read(path: Path) -> tuple[Issue, ...]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no text in UTF-8"
        raise BadInput([f"known issues {path}: {why}"], hint=f"--known FILE, or {KNOWN}=FILE") from exc
    return load_known(text, str(path))


def known_of_row(index: Index, root: Path, issues: tuple[Issue, ...], run: RunRow) -> Matched:
    """The issues that excuse a run of the archive. Where its bundle was pruned, nothing matches a console."""
    if not issues or run.word in UNSEEN:
        return Matched()
    (kernel,) = index.take(KernelRow, "WHERE key = ?", run.kernel)
    findings = tuple(f"{f.rule}: {f.message}" for f in index.findings(run.key) if f.word == run.word)
    console = functools.partial(_consoles, lambda: bundle_of(index, root, run))
    return _told(
        matched(issues, Failing(run.case_name, run.nic, run.design, kernel.release, findings, bool(run.fault), console))
    )


def excuse(index: Index, root: Path, change: Change, after: Sequence[RunRow]) -> Change:
    """A change with the issues that excuse it: each of the new runs that speak against the cell has to be known."""
    issues, run = known_issues(), change.witness
    if not issues or run is None or change.kind not in EXCUSED:
        return change
    bad = [each for each in after if same_cell(each, run) and each.word not in UNSEEN]
    found = [known_of_row(index, root, issues, each).issues for each in bad]
    if not found or not all(found):
        return change
    return replace(change, known=tuple(dict.fromkeys(issue.told for each in found for issue in each)))


def same_cell(run: RunRow, other: RunRow) -> bool:
    return (run.case_name, run.nic, run.cell) == (other.case_name, other.nic, other.cell)


def known_of_result(result: RunResult, bundle: Path) -> RunResult:
    """The same of a run that has just been judged: with what is known of it."""
    issues, word = _issues_or_none(), result.verdict.word
    if not issues or word in (Word.PASS, Word.DONE, Word.SKIP):
        return result
    manifest = result.manifest
    findings = tuple(f"{f.rule}: {f.message}" for f in result.verdict.findings if f.word is word)
    console = functools.partial(_consoles, lambda: bundle)
    kernel, fault = manifest.kernel, result.verdict.kernel_fault
    run = Failing(manifest.case, manifest.nic, kernel.design, kernel.release, findings, fault, console)
    return result.known_as(tuple(issue.told for issue in _told(matched(issues, run)).issues))


def _issues_or_none() -> tuple[Issue, ...]:
    """A file that was broken while a session ran costs it no report. It was checked before the session began."""
    try:
        return known_issues()
    except BadInput as exc:
        _tell_once(str(exc))
        return ()


def _told(found: Matched) -> Matched:
    for name in found.late:
        _tell_once(f"known issue {name}: its expression took too long, so it excuses nothing; no nested repeats")
    return found


@functools.cache
def _tell_once(what: str) -> None:
    tell(what)


def _consoles(bundle: Callable[[], Path | None]) -> str:
    """What both guests said on their consoles; "" where that is not there."""
    with contextlib.suppress(BadInput, OSError):
        where = bundle()
        files = read_bundle(where) if where is not None else {}
        return "\n".join(files[name].decode(errors="replace") for name in CONSOLES if name in files)
    return ""


def bundle_of(index: Index, root: Path, run: RunRow) -> Path | None:
    """Where the bundle of a run lies; None where only its rows are left."""
    bundle = facts(index, run).stored
    where = path_of(root, bundle.bundle.place, bundle.bundle.folder, bundle.bundle.name)
    return None if bundle.pruned or not where.is_dir() else where
