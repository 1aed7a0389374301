# SPDX-License-Identifier: GPL-2.0-only
"""The tracks of one target tonight: what the archive holds of them, and what that comes to."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.archive import select
from lab.archive.compare import SPEAK, Change, failed, in_order
from lab.archive.index import Index
from lab.archive.known import excuse, known_issues
from lab.archive.rows import KernelRow, RunRow
from lab.campaign.diary import Book, Issue
from lab.campaign.standing import Seen, interrupted, looked_at
from lab.stats.flaky import WINDOW
from lab.stats.rates import ALPHA, at_most

SESSIONS = WINDOW + WINDOW // 2
"""Sessions of a target that are read back: a night may have some for its repeats."""


def command_of(path: Path, target: str) -> str:
    """What is written into the sessions of a target, by which its history is found."""
    return shlex.join(["lab", "nightly", str(path), "--only", target])


def is_of(path: Path, target: str) -> Callable[[str], bool]:
    """Whether a session's command is a nightly's of that name: the file may lie elsewhere tonight."""

    def wanted(command: str) -> bool:
        found = re.fullmatch(r"lab nightly (.+) --only (\S+)", command)
        if found is None or found[2] != shlex.quote(target):
            return False
        try:
            words = shlex.split(found[1])
        except ValueError:
            return False
        return len(words) == 1 and Path(words[0]).stem == path.stem

    return wanted


def track_of(run: RunRow) -> str:
    return f"{run.case_name}/{run.nic}"


@dataclass(frozen=True)
class View:
    """What is known of a target: by track, those of its runs that count tonight, and what they come to.

    lacking  tracks of which there is no run tonight, those first that were not run for longest
    """

    tonight: Mapping[str, Sequence[RunRow]]
    seen: Mapping[str, Seen]
    lacking: tuple[str, ...]

    @property
    def runs(self) -> list[RunRow]:
        return in_order(run for runs in self.tonight.values() for run in runs)

    @property
    def again(self) -> dict[str, int]:
        return {track: seen.again for track, seen in self.seen.items() if seen.again}


def view_of(
    index: Index, root: Path, runs: Iterable[RunRow], wanted: Sequence[str], book: Book, began: str, sha256: str
) -> View:
    """`runs` are all of the target's; `began` is when this night did, `sha256` that of its kernel."""
    past: dict[str, list[RunRow]] = defaultdict(list)
    tonight: dict[str, list[RunRow]] = defaultdict(list)
    last: dict[str, str] = {}
    mine = {row.key for row in index.take(KernelRow, "WHERE sha256 = ?", sha256)}
    limit = book.judged or began
    for run in runs:
        track = track_of(run)
        last[track] = run.started
        if interrupted(run):
            continue
        standing = book.tracks.get(track)
        pending = standing.pending if standing else ""
        is_new = (run.started > limit and run.kernel in mine) or (pending and run.started >= pending)
        (tonight if is_new else past)[track].append(run)
    seen = {
        track: looked_at(
            track,
            past[track],
            tonight[track],
            book.tracks.get(track),
            escapes=select.escapes,
            known=lambda change, track=track: excuse(index, root, change, tonight[track]),  # type: ignore[misc]
        )
        for track in wanted
        if tonight[track]
    }
    fresh = {track for track in wanted if any(run.started > limit and run.kernel in mine for run in tonight[track])}
    lacking = sorted((track for track in wanted if track not in fresh), key=lambda track: last.get(track, ""))
    return View({track: tonight[track] for track in seen}, seen, tuple(lacking))


def turned(view: View, book: Book, wanted: Sequence[str]) -> Book:
    """The book after these runs were told."""
    tracks = {track: standing for track, standing in book.tracks.items() if track in wanted}
    tracks |= {track: seen.standing for track, seen in view.seen.items()}
    judged = max((run.started for run in view.runs), default=book.judged)
    return replace(book, tracks=tracks, judged=max(judged, book.judged), broken="")


def issues_met(index: Index, runs: Sequence[RunRow], changes: Iterable[Change], book: Book) -> tuple[Book, list[str]]:
    """Known issues that were met until now, and are no more: those are told once. By how often they were met."""
    told, notes = dict(book.issues), list[str]()
    excused = {issue for change in changes for issue in change.known}
    for issue in known_issues():
        rows = {row.key: row for row in index.take(KernelRow)} if runs else {}
        about = [
            run
            for run in runs
            if run.word in SPEAK and issue.covers(run.case_name, run.nic, run.design, rows[run.kernel].release)
        ]
        before = told.get(issue.id, Issue())
        met = sum(map(failed, about)) if issue.told in excused else 0
        if met:
            told[issue.id] = Issue(before.met + met, before.runs + before.without + len(about))
        elif about and before.met and not before.told:
            without = before.without + len(about)
            is_gone = at_most(0, without, (before.met, before.runs)) < ALPHA
            told[issue.id] = replace(before, without=without, told=is_gone)
            if is_gone:
                notes.append(f"known issue {issue.told} is seen no more: {before.met}:{before.runs}, now :{without}")
    return replace(book, issues=told), notes
