# SPDX-License-Identifier: GPL-2.0-only
"""Writes a site of all that an archive knows: static pages that ask nobody for anything, and read no bundle again.

Each page carries the hash of what it was made of, so a page that would come out the same is neither made nor written.
A run's page is made of its bundle once; after the bundle was pruned, it stays as it was.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from lab.archive.index import Index
from lab.archive.rows import RunRow
from lab.archive.sitepages import (
    Bundled,
    Facts,
    comparison_page,
    index_page,
    kernel_page,
    kernels_page,
    run_page,
    session_page,
    sessions_page,
)
from lab.collect.bundle import write_whole
from lab.collect.stored import read_file
from lab.contracts import Progress
from lab.errors import BadInput

MARK = "lab-site"
"""The file that makes a folder a site: only in such a folder, or an empty one, anything is written or removed."""
FOLDERS = ("runs", "sessions", "kernels", "comparisons")
HEAD = 400
"""Bytes at the beginning of a page that have its stamp."""
TELL = 20

_STAMP = re.compile(rb'<meta name="made-of" content="([0-9a-f]{32})">')


@dataclass
class Built:
    """What was done: pages written, pages that were as they should be, files that went; bundles that cannot be read."""

    written: int = 0
    same: int = 0
    removed: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Page:
    """`made_of` is all that the page depends on; `render` makes it, given its stamp."""

    path: str
    made_of: tuple[object, ...]
    render: Callable[[str], str]


def build(index: Index, root: Path, folder: Path, progress: Progress = lambda _: None) -> Built:
    """Bring the site in `folder` up to date with an index that is. Raises BadInput for a folder of something else.

    root  the results folder. Raises OSError where nothing can be written.
    """
    _take(folder, root)
    built, facts = Built(), Facts.of(index, root)
    kept = {"index.html", "sessions.html", "kernels.html"}
    for number, run in enumerate(facts.runs.values(), 1):
        kept |= {facts.run_path(run), facts.curve_path(run)}
        _bring_run(facts, run, folder, built)
        if number % TELL == 0 or number == len(facts.runs):
            progress(f"runs: {number} of {len(facts.runs)}")
    curves = frozenset(f"runs/{path.name}" for path in (folder / "runs").glob("*.svg"))
    for page in _of_rows(facts.with_curves(curves)):
        kept.add(page.path)
        _bring(folder, page, built)
    built.removed = _remove(folder, kept)
    return built


def _take(folder: Path, root: Path) -> None:
    """Make a folder the site's own."""
    problem = ""
    if folder.exists() and not folder.is_dir():
        problem = f"{folder} is no folder"
    elif folder.resolve().is_relative_to(root.resolve()):
        problem = f"{folder} lies in the results folder, where sessions lie"
    elif folder.is_dir() and not (folder / MARK).is_file() and any(folder.iterdir()):
        problem = f"{folder} holds something else than a site"
    if problem:
        raise BadInput([problem], hint="name a new folder, or an empty one")
    for part in FOLDERS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    if not (folder / MARK).is_file():
        write_whole(folder / MARK, b"made by `lab site`; what nothing leads to is removed\n")


def _bring_run(facts: Facts, run: RunRow, folder: Path, built: Built) -> None:
    """The page of a run, unless there is one and no bundle any more."""
    path = facts.run_path(run)
    where, why = facts.where(run)
    if where is None and _stamp(folder / path):
        built.same += 1
        return
    made_of = (run, facts.findings(run), facts.kernels[run.kernel], facts.session_path(run), facts.known, why)
    _bring(folder, _Page(path, made_of, functools.partial(_run, facts, run, folder, built)), built)


def _run(facts: Facts, run: RunRow, folder: Path, built: Built, stamp: str) -> str:
    where, why = facts.where(run)
    bundled = None
    if where is not None:
        try:
            bundled = Bundled.read(where, facts.anchor(run))
        except (BadInput, OSError) as exc:
            why, stamp = "Its bundle cannot be read.", ""  # so that it is tried again
            built.problems.append(f"{where}: {exc}")
    if bundled is not None and bundled.picture:
        write_whole(folder / facts.curve_path(run), bundled.picture.encode())
    return run_page(facts, run, bundled, why, stamp)


def _of_rows(facts: Facts) -> Iterator[_Page]:
    """Pages that are made of rows alone."""
    for each in facts.sessions:
        rows = facts.rows(stored.run for stored in each.runs)
        before = facts.before(each)
        made_of: tuple[object, ...] = (each, rows, facts.comparison_path(each))
        yield _Page(facts.session_page(each), made_of, functools.partial(session_page, facts, each))
        if before is not None:
            made_of = (facts.known, before, each, facts.until(each))
            make = functools.partial(comparison_page, facts, before, each)
            yield _Page(facts.comparison_path(each), made_of, make)
    for kernel in facts.kernels.values():
        rows = facts.rows(facts.of_kernel(kernel))
        made_of = (kernel, rows, facts.texts(kernel))
        yield _Page(facts.kernel_path(kernel), made_of, functools.partial(kernel_page, facts, kernel))
    told = tuple(facts.runs.values())
    yield _Page("index.html", (told, len(facts.sessions)), functools.partial(index_page, facts))
    yield _Page("sessions.html", (tuple(facts.sessions), facts.unread), functools.partial(sessions_page, facts))
    yield _Page("kernels.html", (told, tuple(facts.kernels.values())), functools.partial(kernels_page, facts))


def _bring(folder: Path, page: _Page, built: Built) -> None:
    stamp = _hash((_form(), *page.made_of))
    if _stamp(folder / page.path) == stamp:
        built.same += 1
        return
    write_whole(folder / page.path, page.render(stamp).encode())
    built.written += 1


def _stamp(path: Path) -> str:
    """Of what a page on disk was made; "" where there is none."""
    try:
        with path.open("rb") as file:
            found = _STAMP.search(file.read(HEAD))
    except FileNotFoundError:
        return ""
    return found[1].decode() if found else ""


def _hash(values: Iterable[object]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(f"{value!r}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()


@functools.cache
def _form() -> str:
    """A hash of what makes pages: another lab makes others."""
    digest = hashlib.blake2b(digest_size=16)
    report = Path(str(files("lab.report")))
    parts = [path for path in report.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    for path in sorted((*parts, Path(__file__), Path(__file__).with_name("sitepages.py"))):
        digest.update(read_file(path, 1 << 24) or b"")
    return digest.hexdigest()


def _remove(folder: Path, kept: set[str]) -> int:
    """Pages that nothing leads to any more."""
    gone = [path for part in FOLDERS for path in (folder / part).iterdir() if f"{part}/{path.name}" not in kept]
    gone = [path for path in gone if path.suffix in (".html", ".svg") and not path.is_dir()]
    for path in gone:
        path.unlink()
    return len(gone)
