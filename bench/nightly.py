# SPDX-License-Identifier: GPL-2.0-only
"""A year of nights: `python -m bench.nightly [NIGHTS [CELLS [SEED]]]`.

What `lab nightly` would tell in 365 nights of 200 tracks with seeded flakes, regressions and trouble, through the real
archive (an index on the disk, filled night by night) and the real rules (lab.campaign.tracks, the diary's book): how
soon a regression is told, how often something is told that is none, and how many mails that makes. No guest runs, and
nothing is judged: rows are what bundles would have given.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.archive import CELLS, FLAKY, NIGHTS, RATES, Cell, Told, fate, put_night, row
from lab.archive.compare import Kind
from lab.archive.index import Index, opened
from lab.archive.rows import RunRow, SessionRow
from lab.archive.select import of_command
from lab.campaign.diary import Book
from lab.campaign.tracks import SESSIONS, View, command_of, is_of, turned, view_of
from lab.host.paths import temporary_folder

FILE = Path("/srv/lab/night.toml")
MOST_ROUNDS = 10


@dataclass
class Year:
    """What came of it.

    truth  delays of what was told, and what was mended before;  known  broken cells that were told, and when
    told   what was told, by what it really was
    """

    truth: Told = field(default_factory=Told)
    known: dict[int, int] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    mails: int = 0
    runs: int = 0
    further: int = 0
    seconds: float = 0.0


def looked(index: Index, cells: list[Cell], book: Book, began: str) -> View:
    runs = of_command(index, is_of(FILE, "bench"), SESSIONS)
    wanted = ["/".join(cell.names[:2]) for cell in cells]
    return view_of(index, Path("/nowhere"), runs, wanted, book, began, "ab" * 32)


def one_night(index: Index, cells: list[Cell], book: Book, night: int, rng: random.Random, year: Year) -> Book:
    """Run all, run again what differs, tell."""
    by_track = {"/".join(cell.names[:2]): cell for cell in cells}
    runs = [row(cell, night, 0, cell.word(rng)) for cell in cells]
    began = min(run.started for run in runs)[:10]
    put(index, night, runs)
    view = looked(index, cells, book, began)
    for _ in range(MOST_ROUNDS):
        if not view.again:
            break
        more = [
            row(by_track[track], night, len(view.tonight[track]) + n, by_track[track].word(rng))
            for track, times in view.again.items()
            for n in range(times)
        ]
        runs += more
        year.further += len(more)
        put(index, night, runs)
        view = looked(index, cells, book, began)
    year.runs += len(runs)
    tell(view, by_track, night, year)
    return turned(view, book, list(by_track))


def put(index: Index, night: int, runs: list[RunRow]) -> None:
    put_night(index, night, runs)
    name = runs[0].session
    with index.change():
        index.execute("DELETE FROM sessions WHERE name = ?", name)
        command = command_of(FILE, "bench")
        index.put(SessionRow("", name, name, runs[0].started, command, "tcg", 2, "2 CPUs", CELLS, ""))


def tell(view: View, cells: dict[str, Cell], night: int, year: Year) -> None:
    news = {track: seen.change.kind for track, seen in view.seen.items() if seen.news}
    backs = sum(seen.back for seen in view.seen.values())
    year.mails += bool(news or backs)
    year.told["a verdict again"] += backs
    for track, kind in news.items():
        cell = cells[track]
        nature = "flaky" if cell.rate else "broken" if cell.broken is not None else "sound"
        year.told[f"{kind} of a {nature} cell"] += 1
        if kind is Kind.NEW_FAIL and cell.broken is not None and cell.number not in year.known:
            year.truth.delays.append(night - cell.broken)
            year.known[cell.number] = night


def simulate(index: Index, nights: int, number: int, seed: int) -> Year:
    rng, year = random.Random(seed), Year()  # noqa: S311 - a simulation
    cells = [Cell(n, rng.choice(RATES) if rng.random() < FLAKY else 0.0) for n in range(number)]
    book = Book()
    began = time.process_time()
    for night in range(nights):
        for cell in cells:
            fate(cell, night, rng, year.truth, year.known)
        book = one_night(index, cells, book, night, rng, year)
    year.seconds = time.process_time() - began
    return year


def main(words: list[str]) -> None:
    nights, number, seed = [*map(int, words), *(NIGHTS, CELLS, 1)[len(words) :]]
    with temporary_folder() as folder, opened(folder) as index:
        year = simulate(index, nights, number, seed)
    truth = year.truth
    delays = dict(sorted(Counter(truth.delays).items()))
    print(f"{nights} nights of {number} cells, seed {seed}: {year.runs} runs, {year.further} of them further ones")
    late = f"mended before they were told: {truth.missed}"
    print(f"regressions told: {len(truth.delays)}, nights of delay: {delays}; {late}")
    print(f"mails: {year.mails}")
    for what, times in sorted(year.told.items()):
        print(f"  {times:4} {what}")
    print(f"CPU: {year.seconds:.0f} s, {year.seconds / nights:.2f} s a night")


if __name__ == "__main__":
    main(sys.argv[1:])
