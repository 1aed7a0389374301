# SPDX-License-Identifier: GPL-2.0-only
"""A site of many runs: `python -m bench.site [RUNS [CELLS]]`.

The archive is simulated (bench/archive.py), so no run has a bundle: what is measured is what grows with the archive,
and not judging and drawing, which each run costs once. The first page is opened in a real browser, on files.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from bench.archive import CELLS, Cell, put_night, row
from lab.archive.index import Index, opened
from lab.archive.site import build
from lab.host.paths import temporary_folder
from tests.browser.chromium import chromium, dress, missing

RUNS, OPENED = 10_000, 5
LOADED = """
const told = performance.getEntriesByType("navigation")[0];
requestAnimationFrame(() => setTimeout(() => arguments[0]([told.loadEventEnd, performance.now()])));
"""


def night(index: Index, cells: list[Cell], number: int, rng: random.Random) -> None:
    put_night(index, number, [row(cell, number, 0, cell.word(rng)) for cell in cells])


def built(index: Index, root: Path, folder: Path, what: str) -> None:
    began, cpu = time.monotonic(), time.process_time()
    done = build(index, root, folder)
    spent = time.process_time() - cpu
    print(f"  {what:16} {done.written:6} pages written, {spent:6.1f} s of CPU, {time.monotonic() - began:6.1f} s")


def looked(page: Path, profile: Path) -> None:
    """How long the browser takes until the page is loaded, and until it is painted; and what its main thread computes,
    which is the same on a host that does other work."""
    with chromium(profile) as browser:
        dress(browser, 1280, 900, "light")
        times: list[list[float]] = []
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        for _ in range(OPENED):
            browser.get("about:blank")
            browser.get(page.as_uri())
            shown = browser.execute_async_script(LOADED)
            told = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            (spent,) = (each["value"] for each in told if each["name"] == "TaskDuration")
            times.append([*shown, 1000 * spent])
    loaded, painted, spent = (", ".join(f"{each[at]:.0f}" for each in times) for at in range(3))
    print(f"  {page.name}: {page.stat().st_size / 2**20:.1f} MiB")
    print(f"  ms until loaded {loaded}; until painted {painted}; CPU of its main thread {spent}")


def main(words: list[str]) -> None:
    runs, number = [*map(int, words), *(RUNS, CELLS)[len(words) :]]
    rng, cells = random.Random(1), [Cell(n, 0.01) for n in range(number)]  # noqa: S311 - a simulation
    nights = max(1, runs // number)
    print(f"{nights * number} runs of {number} cells, {nights} nights:")
    with temporary_folder() as folder, opened(folder) as index:
        for each in range(nights):
            night(index, cells, each, rng)
        with temporary_folder() as place:
            site = place / "site"
            built(index, folder, site, "the first time")
            built(index, folder, site, "nothing new")
            night(index, cells, nights, rng)
            built(index, folder, site, "a night more")
            if missing():
                print(f"  not opened: {missing()} is not installed")
                return
            looked(site / "index.html", place / "profile")


if __name__ == "__main__":
    main(sys.argv[1:])
