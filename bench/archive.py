# SPDX-License-Identifier: GPL-2.0-only
"""The archive of a lab that has run for long: `python -m bench.archive year [NIGHTS [CELLS]] | size RUNS...`.

year  365 nights of 200 cells through a real index, with seeded flakes, regressions and trouble: how soon a regression
      is told, how often something is told that is none, and how many mails that makes
size  how large an index is, and what a question takes, at so many runs

Times are those of the CPU: they say the same on a host that does other work.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lab.archive import select
from lab.archive.compare import Change, Kind, compare
from lab.archive.index import Index, opened
from lab.archive.query import sessions
from lab.archive.rows import THERE, BundleRow, FindingRow, HostRow, KernelRow, RunRow, SessionRow
from lab.host.paths import temporary_folder

CELLS, NIGHTS = 200, 365
REGRESSION, LASTS = 1 / 365, 10.0
"""A cell breaks so often a night, and is mended after so many on average."""
FLAKY, RATES = 0.05, (0.02, 0.05, 0.1, 0.3)
"""The share of cells that are flaky, and how often such a cell fails."""
TROUBLE = 0.003
"""A run that says nothing: MISS."""
REPEATS = 5
"""Further runs, in the same night, of what differs from its history and is not sure."""
BEGIN = datetime.datetime(2026, 1, 1, 2, tzinfo=datetime.UTC)
LIKE = "abuser held 252.6 MiB and was charged 0.7 MiB, 0.0 MiB of it for queues: 251.9 MiB escaped, 13.9 are tolerated"


@dataclass
class Cell:
    """A cell and its fate."""

    number: int
    rate: float
    broken: int | None = None
    """The night in which it broke."""

    @property
    def names(self) -> tuple[str, str, str]:
        case, nic = f"case-{self.number // 4}", f"nic-{self.number % 4}"
        return case, nic, f"{case}/{nic}/stock/7.3"

    def word(self, rng: random.Random) -> str:
        if rng.random() < TROUBLE:
            return "MISS"
        return "FAIL" if self.broken is not None or rng.random() < self.rate else "PASS"


@dataclass
class Told:
    """What came of a year."""

    delays: list[int] = field(default_factory=list)
    missed: int = 0
    mails: int = 0
    false: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    seconds: list[float] = field(default_factory=list)


def row(cell: Cell, night: int, number: int, word: str) -> RunRow:
    case, nic, name = cell.names
    began = BEGIN + datetime.timedelta(days=night, seconds=20 * cell.number + number)
    bad = word == "FAIL"
    return RunRow(
        key=f"{night:08x}{cell.number:08x}{number:016x}",
        run=f"{case}.{nic}.{night:04x}{number:04x}",
        session=session_name(night),
        case_name=case,
        nic=nic,
        design="stock",
        line="7.3",
        cell=name,
        repeat=number,
        predicted="PASS",
        word=word,
        surprise=int(bad),
        fault=0,
        rule="billed" if bad else "",
        why=LIKE if bad else "",
        pointer="receiver/checkpoints.jsonl:2" if bad else "",
        held=264_870_000,
        charged=734_003,
        escaped=264_000_000,
        gone=265_000_000,
        limited=64 * 2**20,
        cost=None,
        cost_low=None,
        cost_high=None,
        oom="none",
        victims="",
        incidents="" if word != "MISS" else "boot",
        started=began.isoformat(timespec="milliseconds"),
        seconds=41.2,
        provision=1.2,
        drive=38.0,
        collect=2.0,
        runs_before=3,
        skip="",
        kernel=f"kernel-{night}",
        host="host",
        lab_version="0.1.0+g0123456789ab",
        judged_by="0123456789ab",
        reproduce=f"lab run {case} --kernel 7.3 --nic {nic}",
    )


def session_name(night: int) -> str:
    return f"{BEGIN + datetime.timedelta(days=night):%Y%m%d-%H%M%S}-{night:08x}"


def put_night(index: Index, night: int, runs: list[RunRow]) -> None:
    """A session as the lab leaves it: its plan, its kernel, and a bundle for each run."""
    name = session_name(night)
    with index.change():
        index.put(SessionRow("", name, name, runs[0].started, "lab nightly", "tcg", 2, "2 CPUs", CELLS, ""))
        index.put(KernelRow(f"kernel-{night}", f"7.3.0-{night}", "7.3.0", "stock", "ab" * 32, "", "", "", "", "", ""))
        index.put(HostRow("host", "bench", "6.1", "CPU", 2, 4096, "7.2.22", "9.0.0", "tcg", "embed"))
        for run in runs:
            index.put(BundleRow("", name, run.run, run.key, THERE, 1_000_000, ""))
            index.execute("INSERT OR REPLACE INTO stamps VALUES ('', ?, ?, 'x')", name, run.run)
            index.put(run)
            if run.word != "PASS":
                index.put_findings(run.key, [FindingRow("billed", run.word, LIKE, "receiver/checkpoints.jsonl:2")])


def compared(index: Index) -> list[Change]:
    before, after = select.last(index, 1)
    return compare(before.runs, after.runs, lambda cell, first: select.history(index, cell, first))


def year(index: Index, nights: int, number: int = CELLS, seed: int = 1) -> Told:
    """Night by night: run, compare, repeat what is not sure, compare again, and mail what is news."""
    rng, told = random.Random(seed), Told()  # noqa: S311 - a simulation
    cells = [Cell(n, rng.choice(RATES) if rng.random() < FLAKY else 0.0) for n in range(number)]
    by_name = {cell.names[2]: cell for cell in cells}
    by_name |= {"/".join(cell.names[:2]): cell for cell in cells}
    known: dict[int, int] = {}
    for night in range(nights):
        for cell in cells:
            fate(cell, night, rng, told, known)
        runs = [row(cell, night, 0, cell.word(rng)) for cell in cells]
        put_night(index, night, runs)
        if not night:
            continue
        began = time.process_time()
        first = compared(index)
        told.seconds.append(time.process_time() - began)
        again = [(by_name[c.cell], min(REPEATS, c.needed)) for c in first if c.needed]
        runs += [row(cell, night, n, cell.word(rng)) for cell, times in again for n in range(1, times + 1)]
        told.repeats += sum(times for _, times in again)
        put_night(index, night, runs)
        mail(compared(index) if again else first, by_name, night, told, known)
    return told


def fate(cell: Cell, night: int, rng: random.Random, told: Told, known: dict[int, int]) -> None:
    """Cells that pass may break, and broken ones are mended, night by night."""
    if cell.broken is None and not cell.rate and night > 20 and rng.random() < REGRESSION:
        cell.broken = night
    elif cell.broken is not None and rng.random() < 1 / LASTS:
        told.missed += known.pop(cell.number, None) is None
        cell.broken = None


def mail(changes: list[Change], cells: dict[str, Cell], night: int, told: Told, known: dict[int, int]) -> None:
    """What a night tells: new fails and fixes that are sure, and cells that became flaky."""
    news = [c for c in changes if (c.kind in (Kind.NEW_FAIL, Kind.FIXED) and not c.needed) or c.fresh]
    told.mails += bool(news)
    for change in news:
        cell = cells[change.cell]
        if change.kind is Kind.NEW_FAIL and cell.broken is not None:
            if cell.number not in known:
                told.delays.append(night - cell.broken)
                known[cell.number] = night
        elif change.kind is Kind.NEW_FAIL or (change.fresh and not cell.rate):
            told.false[f"{change.kind} of a {'flaky' if cell.rate else 'sound'} cell"] += 1
    unsure = [c for c in changes if c.kind is Kind.NEW_FAIL and c.needed and cells[c.cell].broken is None]
    told.false["new fail, not sure, not mailed"] += len(unsure)


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    print(f"  {what:44} {(time.process_time() - began) * 1000:9.1f} ms of CPU")


def size(index: Index, runs: int) -> None:
    """An index of so many runs, and what questions to it take."""
    rng, cells = random.Random(1), [Cell(n, 0.01) for n in range(CELLS)]  # noqa: S311 - a simulation
    began = time.process_time()
    for night in range(runs // CELLS):
        put_night(index, night, [row(cell, night, 0, cell.word(rng)) for cell in cells])
    spent = time.process_time() - began
    assert index.path is not None  # noqa: S101 - it lies in a file
    index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    octets = index.path.stat().st_size
    print(
        f"{runs} runs: {octets / 2**20:.1f} MiB, {octets / runs:.0f} bytes a run; put {runs / spent:.0f} a CPU second"
    )
    questions: dict[str, Callable[[], object]] = {
        "lab archive list (20 sessions)": lambda: sessions(index, most=20),
        "lab compare (newest against the one before)": lambda: compared(index),
        "lab history of a case (4 cells, whole)": lambda: select.cells(index, "case-7"),
        "last 300 runs of a cell": lambda: select.history(index, "case-7/nic-0/stock/7.3"),
        "all stamps (what a catch-up reads)": lambda: index.execute("SELECT place, folder, name, stamp FROM stamps"),
    }
    for what, ask in questions.items():
        with timed(what):
            ask()


def main(words: list[str]) -> None:
    for runs in [0] if words[:1] == ["year"] else [int(word) for word in words[1:]]:
        with temporary_folder() as folder, opened(folder) as index:
            if runs:
                size(index, runs)
            else:
                tell(year(index, *([int(word) for word in words[1:]] or [NIGHTS])))


def tell(told: Told) -> None:
    delays = Counter(told.delays)
    lines = [
        f"regressions told: {len(told.delays)}, nights of delay: {dict(sorted(delays.items()))}; never: {told.missed}",
        f"mails: {told.mails}; further runs: {told.repeats}",
        f"told that was none: {dict(told.false)}",
        f"a comparison: {1000 * sum(told.seconds) / max(1, len(told.seconds)):.0f} ms of CPU on average",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
