# SPDX-License-Identifier: GPL-2.0-only
"""The pages of a site, each a function of rows; that of a run, of its bundle as well.

Names come from bundles: what a page or a file is called is made of them, and is never them where they are odd.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from lab.archive import select
from lab.archive.compare import SPEAK, Change, Kind, Tally, compare, outcome
from lab.archive.index import Index
from lab.archive.known import excuse, known_issues
from lab.archive.places import path_of
from lab.archive.query import StoredSession, sessions, words
from lab.archive.rows import PRUNED, THERE, UNREAD, BundleRow, FindingRow, KernelRow, RunRow
from lab.collect.stored import Stored, read_bundle, read_file
from lab.kernels import products
from lab.report import html, plot
from lab.report.html import RunView
from lab.report.wording import size
from lab.stats.flaky import WINDOW, is_flaky
from lab.units import MIB
from lab.verdict.model import Word

TREND = 30
"""Runs of a cell that its trend shows."""
MOST_RUNS = 1000
"""Runs in the table of one kernel, the newest."""
EXCERPTS, AROUND, LINE = 40, 3, 2000
"""Places of evidence on the page of one run, lines on either side of each, characters of one line."""
TEXT = 4 * MIB
"""Bytes of a kernel's config or series that are shown."""
HEIGHTS = {"FAIL": 14, "ERROR": 11, "MISS": 8, "SKIP": 2, "DONE": 5, "PASS": 5}
RANKS = {word.value: number for number, word in enumerate(Word)}

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_POINTER = re.compile(r"(.+):(\d{1,9})")


@dataclass(frozen=True)
class Row:
    """A run as a table shows it. `curve` is where its picture lies, "" for none."""

    run: RunRow
    page: str
    kernel: str
    kernel_page: str
    rank: int
    escape: int | None
    pruned: bool
    curve: str


@dataclass(frozen=True)
class SessionTold:
    """A session as pages show it; `comparison` is "" where there is nothing to compare it with."""

    name: str
    page: str
    started: str
    told: str
    surprises: int
    pruned: int
    comparison: str
    command: str
    problem: str


@dataclass(frozen=True)
class Excerpt:
    """Lines of a file: number, text, and whether it is the one that a finding points at."""

    anchor: str
    file: str
    lines: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True)
class Bundled:
    """What the bundle of a run adds to its row. `picture` is an SVG file, "" where the ledger has no points."""

    view: RunView
    excerpts: tuple[Excerpt, ...]
    picture: str

    @classmethod
    def read(cls, where: Path, anchor: str) -> Bundled:
        """Judge a bundle. Raises BadInput, OSError."""
        from lab.archive.reports import excused, judged_files

        stored = read_bundle(where)
        result = excused(judged_files(stored, where.name), where)
        result = replace(result, bundle=f"{where.parent.name}/{where.name}")
        found = excerpts(stored, (finding.pointer for finding in result.verdict.findings))
        ledger = result.verdict.ledger
        picture = plot.standalone(ledger, result.manifest.run) if ledger.points else ""
        links = {pointer: f"#{excerpt.anchor}" for pointer, excerpt in found.items()}
        view = html.view(result, anchor, lambda pointer: links.get(pointer, ""), "", drawn=picture)
        return cls(view, tuple(found.values()), picture)


def excerpts(stored: Stored, pointers: Iterable[str]) -> dict[str, Excerpt]:
    """By pointer, the line that it names and those around it; nothing for a pointer to no line."""
    named = [match for pointer in dict.fromkeys(pointers) if (match := _POINTER.fullmatch(pointer))][:EXCERPTS]
    found: dict[str, Excerpt] = {}
    for file, inside in groupby(sorted(named, key=_place), key=lambda match: match[1]):
        lines = stored[file].split(b"\n") if file in stored else []
        for match in inside:
            _, at = _place(match)
            near = range(max(1, at - AROUND), min(len(lines), at + AROUND) + 1)
            if at in near:
                shown = tuple((n, lines[n - 1][:LINE].decode(errors="replace"), n == at) for n in near)
                found[match[0]] = Excerpt(f"line-{len(found) + 1}", file, shown)
    return found


def _place(pointer: re.Match[str]) -> tuple[str, int]:
    return pointer[1], int(pointer[2])


def slug(name: str) -> str:
    """What a file is called by somebody else's name."""
    if _PLAIN.fullmatch(name):
        return name
    return f"x-{hashlib.blake2b(name.encode(errors='backslashreplace'), digest_size=10).hexdigest()}"


@dataclass(frozen=True)
class Facts:
    """All that the pages are made of."""

    index: Index
    root: Path
    runs: dict[str, RunRow]
    bundles: dict[str, BundleRow]
    kernels: dict[str, KernelRow]
    sessions: list[StoredSession]
    unread: tuple[BundleRow, ...]
    known: tuple[object, ...]
    curves: frozenset[str] = frozenset()

    @classmethod
    def of(cls, index: Index, root: Path) -> Facts:
        runs = {run.key: run for run in index.take(RunRow, "ORDER BY started, key")}
        bundles: dict[str, BundleRow] = {}
        for bundle in index.take(BundleRow, "WHERE key != '' ORDER BY place, folder, name"):
            bundles.setdefault(bundle.key, bundle)
        kernels = {row.key: row for row in index.take(KernelRow, "ORDER BY name, key")}
        found = sessions(index, most=None)
        unread = tuple(index.take(BundleRow, "WHERE state = ? ORDER BY place, folder, name", UNREAD))
        return cls(index, root, runs, bundles, kernels, found, unread, tuple(known_issues()))

    def with_curves(self, curves: frozenset[str]) -> Facts:
        return replace(self, curves=curves)

    # -- what pages are called -----------------------------------------------------------------------------------

    def run_path(self, run: RunRow) -> str:
        return f"runs/{slug(run.key)}.html"

    def curve_path(self, run: RunRow) -> str:
        return f"runs/{slug(run.key)}.svg"

    def anchor(self, run: RunRow) -> str:
        return f"run-{slug(run.key)}"

    def kernel_path(self, kernel: KernelRow) -> str:
        return f"kernels/{slug(kernel.key)}.html"

    def session_page(self, each: StoredSession) -> str:
        return f"sessions/{slug(each.row.name)}.html"

    @functools.cached_property
    def _sessions_of(self) -> Mapping[str, str]:
        return {stored.run.key: self.session_page(each) for each in self.sessions for stored in each.runs}

    def session_path(self, run: RunRow) -> str:
        """The page of the session of a run; "" where there is none."""
        return self._sessions_of.get(run.key, "")

    def comparison_path(self, each: StoredSession) -> str:
        return f"comparisons/{slug(each.row.name)}.html" if self.before(each) else ""

    # -- what they are made of -----------------------------------------------------------------------------------

    def where(self, run: RunRow) -> tuple[Path | None, str]:
        """The bundle of a run; or None, and why there is none."""
        bundle = self.bundles.get(run.key)
        if bundle is None or bundle.state not in (THERE, PRUNED):
            return None, "Its bundle is gone."
        if bundle.state == PRUNED:
            return None, f"Its bundle was pruned on {bundle.why[:10]}."
        where = path_of(self.root, bundle.place, bundle.folder, bundle.name)
        return (where, "") if where.is_dir() else (None, "Its bundle is gone.")

    def findings(self, run: RunRow) -> list[FindingRow]:
        return self.index.findings(run.key)

    def rows(self, runs: Iterable[RunRow]) -> list[Row]:
        return [self._row(run) for run in runs]

    def _row(self, run: RunRow) -> Row:
        kernel = self.kernels[run.kernel]
        curve = self.curve_path(run)
        return Row(
            run=run,
            page=self.run_path(run),
            kernel=kernel.name,
            kernel_page=self.kernel_path(kernel),
            rank=RANKS[run.word],
            escape=_escape(run),
            pruned=self.bundles[run.key].state == PRUNED,
            curve=curve if curve in self.curves else "",
        )

    @functools.cached_property
    def by_kernel(self) -> Mapping[str, list[RunRow]]:
        found: dict[str, list[RunRow]] = defaultdict(list)
        for run in self.runs.values():
            found[run.kernel].append(run)
        return found

    def of_kernel(self, kernel: KernelRow) -> list[RunRow]:
        """Its runs, the newest first."""
        return self.by_kernel[kernel.key][: -MOST_RUNS - 1 : -1]

    @functools.cached_property
    def _built(self) -> Mapping[str, products.Product]:
        return {product.record["sha256"]: product for product in products.everything()}

    def texts(self, kernel: KernelRow) -> tuple[tuple[str, str], ...]:
        """Config and series of a kernel that was built on this host, and is in the cache still."""
        product = self._built.get(kernel.sha256)
        if product is None:
            return ()
        named = (("config", product.path / "config"), ("series", product.path / "series.mbox"))
        return tuple((name, data.decode(errors="replace")) for name, path in named if (data := read_file(path, TEXT)))

    @functools.cached_property
    def _befores(self) -> Mapping[str, StoredSession]:
        """By session, the newest before it that has a cell of it."""
        last: dict[str, StoredSession] = {}
        found: dict[str, StoredSession] = {}
        for each in reversed(self.sessions):
            cells = {stored.run.cell for stored in each.runs}
            candidates = [last[cell] for cell in cells if cell in last]
            if candidates:
                found[each.row.name] = max(candidates, key=lambda one: (one.started, one.row.name))
            last |= dict.fromkeys(cells, each)
        return found

    def before(self, each: StoredSession) -> StoredSession | None:
        return self._befores.get(each.row.name)

    @functools.cached_property
    def _untils(self) -> tuple[list[str], list[str]]:
        digest, starts, hashes = hashlib.blake2b(digest_size=16), list[str](), list[str]()
        for run in self.runs.values():
            digest.update(f"{run!r}\n".encode(errors="backslashreplace"))
            starts.append(run.started)
            hashes.append(digest.hexdigest())
        return starts, hashes

    def until(self, each: StoredSession) -> str:
        """A hash of all runs that began no later than the last of a session: its history."""
        starts, hashes = self._untils
        at = bisect_right(starts, max((stored.run.started for stored in each.runs), default=""))
        return hashes[at - 1] if at else ""

    def told(self, each: StoredSession) -> SessionTold:
        return SessionTold(
            name=each.row.name,
            page=self.session_page(each),
            started=each.started,
            told=words(stored.run for stored in each.runs),
            surprises=each.surprises,
            pruned=sum(stored.pruned for stored in each.runs),
            comparison=self.comparison_path(each),
            command=each.row.command,
            problem=each.row.problem,
        )


def _escape(run: RunRow) -> int | None:
    """Where the case is about one, and the run measured it."""
    return run.escaped if run.word in SPEAK and select.escapes(run.case_name) else None


# -- pages -----------------------------------------------------------------------------------------------------------


@functools.cache
def _script() -> tuple[Markup, str]:
    """The script that sorts and filters tables, and the hash by which a page allows it and no other."""
    text = files("lab.report").joinpath("templates/site/site.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), digest  # noqa: S704 - ours


def _rendered(template: str, stamp: str, values: Mapping[str, object], *, up: str = "", scripted: bool = True) -> str:
    script, digest = _script()
    told = {"stamp": stamp, "up": up, "scripted": scripted, "script": script, "script_hash": digest}
    return html.template(f"site/{template}.html.j2").render(kinds_of_word=[*RANKS], **told, **values)


def run_page(facts: Facts, run: RunRow, bundled: Bundled | None, why: str, stamp: str) -> str:
    kernel = facts.kernels[run.kernel]
    values = {
        "row": run,
        "kernel": kernel,
        "kernel_page": facts.kernel_path(kernel),
        "session": facts.session_path(run),
        "run": bundled.view if bundled else None,
        "excerpts": bundled.excerpts if bundled else (),
        "findings": facts.findings(run),
        "why": why,
    }
    return _rendered("run", stamp, values, up="../", scripted=False)


def session_page(facts: Facts, each: StoredSession, stamp: str) -> str:
    rows = sorted(facts.rows(s.run for s in each.runs), key=lambda row: (-row.run.surprise, row.rank))
    curves = [row for row in rows if row.curve]
    values = {"session": facts.told(each), "rows": rows, "curves": curves, "words": _words(row.run for row in rows)}
    return _rendered("session", stamp, values, up="../")


def kernel_page(facts: Facts, kernel: KernelRow, stamp: str) -> str:
    rows = facts.rows(facts.of_kernel(kernel))
    told = {
        "Release": kernel.release,
        "Design": kernel.design,
        "git describe": kernel.described,
        "Base": kernel.base,
        "Series": kernel.series,
        "Fragments": kernel.fragments,
        "Kernel sha256": kernel.sha256,
        "Config sha256": kernel.config_sha256,
        "initrd sha256": kernel.initrd_sha256,
    }
    texts = [(name, _pieces(text)) for name, text in facts.texts(kernel)]
    left = len(facts.by_kernel[kernel.key]) - len(rows)
    values = {
        "kernel": kernel,
        "facts": [*told.items()],
        "rows": rows,
        "words": _words(row.run for row in rows),
        "left": left,
        "files": texts,
    }
    return _rendered("kernel", stamp, values, up="../")


def _pieces(text: str) -> list[str]:
    """A template shows no more than so much of one text."""
    return [text[at : at + html.MOST_SHOWN] for at in range(0, len(text), html.MOST_SHOWN)]


@dataclass(frozen=True)
class ChangeRow:
    change: Change
    page: str
    number: str


def comparison_page(facts: Facts, before: StoredSession, after: StoredSession, stamp: str) -> str:
    old, new = select.of_session(before).runs, select.of_session(after).runs
    found = compare(old, new, lambda cell, first: select.history(facts.index, cell, first), select.escapes)
    changes = [excuse(facts.index, facts.root, change, new) for change in found if change.kind is not Kind.SAME]
    rows = [_change_row(facts, change) for change in changes]
    values = {"changes": rows, "same": len(found) - len(rows), "before": facts.told(before), "after": facts.told(after)}
    return _rendered("comparison", stamp, values, up="../")


def _change_row(facts: Facts, change: Change) -> ChangeRow:
    page, number = facts.run_path(change.witness) if change.witness else "", ""
    if change.number is not None:
        name, moved = change.number
        now, low, high = (
            size(round(value)) if name == "escape" else f"{value:.3f}" for value in (moved.now, moved.low, moved.high)
        )
        number = f"{name} {now}; expected {low} to {high}"
    return ChangeRow(change, page, number)


@dataclass(frozen=True)
class Cell:
    """A cell on the first page. `letters` are its newest words, the oldest first; `trend` the same as a picture."""

    run: RunRow
    page: str
    design: str
    rank: int
    since: str
    since_page: str
    letters: str
    trend: tuple[tuple[str, str], ...]
    flaky: bool
    tally: Tally
    rate: float
    escape: int | None


def index_page(facts: Facts, stamp: str) -> str:
    by_cell: dict[str, list[RunRow]] = defaultdict(list)
    for run in facts.runs.values():
        by_cell[run.cell].append(run)
    cells = sorted(
        (_cell(facts, runs) for runs in by_cell.values()),
        key=lambda cell: (-cell.run.surprise, cell.rank if cell.run.surprise else 0, cell.run.cell),
    )
    values = {
        "cells": cells,
        "failing": sum(cell.run.surprise for cell in cells),
        "words": _words(cell.run for cell in cells),
        "runs": len(facts.runs),
        "sessions": len(facts.sessions),
        "trend": TREND,
        "window": WINDOW,
    }
    return _rendered("index", stamp, values)


def _cell(facts: Facts, runs: Sequence[RunRow]) -> Cell:
    """Of its runs, the oldest first."""
    run = runs[-1]
    first = run
    for each in reversed(runs):
        if (each.word, each.surprise) != (run.word, run.surprise):
            break
        first = each
    recent = [each for each in runs if each.word in SPEAK][-WINDOW:]
    tally, shown = Tally.of(recent), runs[-TREND:]
    return Cell(
        run=run,
        page=facts.run_path(run),
        design=run.cell.removeprefix(f"{run.case_name}/{run.nic}/").removesuffix(f"/{run.line}"),
        rank=RANKS[run.word],
        since=first.started[:10],
        since_page=facts.run_path(first),
        letters="".join(each.word[:1] for each in shown),
        trend=_bars([each.word for each in shown]),
        flaky=is_flaky([outcome(each) for each in recent]),
        tally=tally,
        rate=tally.failed / tally.runs if tally.runs else 0.0,
        escape=_escape(run),
    )


def _bars(shown: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """A path for each word: a bar for each run, the worse the taller."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, word in enumerate(shown, TREND - len(shown)):
        height = HEIGHTS[word]
        found[word].append(f"M{4 * number} {15 - height}h3v{height}h-3z")
    return tuple((word, "".join(bars)) for word, bars in found.items())


def sessions_page(facts: Facts, stamp: str) -> str:
    told = [facts.told(each) for each in facts.sessions]
    return _rendered("sessions", stamp, {"sessions": told, "unread": facts.unread})


@dataclass(frozen=True)
class KernelTold:
    row: KernelRow
    page: str
    told: str
    first: str
    last: str


def kernels_page(facts: Facts, stamp: str) -> str:
    told = []
    for kernel in facts.kernels.values():
        runs = facts.by_kernel[kernel.key]
        days = (runs[0].started, runs[-1].started) if runs else ("", "")
        told.append(KernelTold(kernel, facts.kernel_path(kernel), words(runs), *days))
    told.sort(key=lambda each: each.last, reverse=True)
    return _rendered("kernels", stamp, {"kernels": told})


def _words(runs: Iterable[RunRow]) -> list[str]:
    """The words that there are, worst first."""
    found = {run.word for run in runs}
    return [word for word in RANKS if word in found]
