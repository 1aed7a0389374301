# SPDX-License-Identifier: GPL-2.0-only
"""Fills the index: one run when it ends, or all that it lacks. Whoever reads the index has it filled before.

A row is made of a bundle's bytes, judged here, whoever judged them before. So it matters to no row when, in which order
or by whom it was made; what one process did not get to, another does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from lab.archive.index import DamagedError, Index, drop, opened, use_index
from lab.archive.places import HERE, Seen, View, look, look_at, path_of, places, plan_stamp
from lab.archive.prune import read_husk
from lab.archive.rows import (
    PRUNED,
    THERE,
    UNREAD,
    BundleRow,
    HostRow,
    KernelRow,
    RunRow,
    SessionRow,
    Told,
    name,
    rows_of,
    run_key,
    text,
)
from lab.collect.stored import read_bundle
from lab.contracts import HUSK, Progress
from lab.errors import BadInput, LabError, LabTrouble
from lab.plan.session import SessionPlan
from lab.report.model import RunResult

FEW = 8
"""Bundles that one process judges sooner than others are started to help."""
TELL = 50
"""Bundles read from one word of progress to the next."""


@dataclass(frozen=True)
class Read:
    """What a bundle on disk comes to: rows, or why there are none."""

    seen: Seen
    told: Told | None
    size: int = 0
    why: str = ""


@dataclass(frozen=True)
class Filled:
    """What an index was filled with. `unread` bundles could not be read; `away` are places that cannot be reached."""

    added: int = 0
    gone: int = 0
    unread: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def fill_one(folder: Path, run: str, result: RunResult) -> None:
    """A run of this session has ended, and was judged: put its rows into the archive of the results folder.

    Never trouble for the session: what is not put in now is put in by whoever reads the archive next.
    """
    with contextlib.suppress(LabError, OSError):
        root = folder.parent
        seen = look_at(root, folder.name, run)
        if seen is None:
            return
        files = read_bundle(folder / run)
        key = run_key(files.record(seen.record).sha256)
        size = sum(record.size for record in result.manifest.files.values())
        told = rows_of(result, key, folder.name, _source())
        try:
            with opened(root) as index:
                _put_session(index, root, "", folder.name)
                _put(index, Read(seen, told, size))
        except DamagedError:
            drop(root)  # left to be filled by who reads it


def catch_up(index: Index, root: Path, progress: Progress = lambda _: None) -> Filled:
    """Bring an index up to date with the bundles in all of its places."""
    total = Filled()
    views = {place: look(root, place) for place in places(root)}
    known = _stamps(index)
    for place in {place for place, _, _ in known} - views.keys():  # forgotten
        views[place] = View(place, path_of(root, place))
    for place, view in views.items():
        if view is None:
            total = _added(total, Filled(away=(place,)))
            continue
        total = _added(total, _catch_up_with(index, root, view, known, progress))
    unread = index.take(BundleRow, "WHERE state = ? ORDER BY place, folder, name", UNREAD)
    told = tuple(f"{path_of(root, b.place, b.folder, b.name)}: {b.why}" for b in unread)
    return _added(total, Filled(unread=told))


def _catch_up_with(
    index: Index, root: Path, view: View, known: dict[tuple[str, str, str], str], progress: Progress
) -> Filled:
    there = {(seen.place, seen.folder, seen.name): seen for seen in view.bundles}
    gone = [key for key in known if key[0] == view.place and key[2] and key not in there]
    gone += [(p, f, "") for p, f, n in known if p == view.place and not n and f not in view.folders]
    _forget(index, gone)
    again = [seen for key, seen in there.items() if known.get(key) != _stamp_of(seen, known.get(key, ""))]
    if gone:  # a copy that is left may have to stand for the run now
        left = _stamps(index)
        again = [seen for key, seen in there.items() if left.get(key) != _stamp_of(seen, left.get(key, ""))]
    for folder, stamp in view.folders.items():
        if known.get((view.place, folder, "")) != f"plan {stamp}":
            _put_session(index, root, view.place, folder)
    for number, read in enumerate(_all_read(root, again), 1):
        _put(index, read)
        if number % TELL == 0 or number == len(again):
            progress(f"reading bundles: {number} of {len(again)}")
    runs = sum(1 for _, _, n in gone if n)
    return Filled(added=len(again), gone=runs, problems=tuple(view.problems))


def _added(total: Filled, more: Filled) -> Filled:
    return Filled(
        total.added + more.added,
        total.gone + more.gone,
        total.unread + more.unread,
        total.away + more.away,
        total.problems + more.problems,
    )


def rebuild(root: Path, progress: Progress) -> Filled:
    """Forget the index and make it anew. Cut short, it is gone on with by whoever reads the archive next."""
    drop(root)
    return use_index(root, lambda index: catch_up(index, root, progress))


# -- from a bundle to rows -------------------------------------------------------------------------------------------


def read_one(root: Path, seen: Seen) -> Read:
    """Judge a bundle on disk, or take what is left of it."""
    path = path_of(root, seen.place, seen.folder, seen.name)
    try:
        if seen.record == HUSK:
            told, size, when = read_husk(path)
            return Read(seen, told, size, when)
        return _read_run(path, seen, _session_name(root, seen))
    except BadInput as exc:
        return Read(seen, None, why=text("; ".join(exc.problems)))
    except OSError as exc:
        return Read(seen, None, why=text(f"{exc.strerror}: {exc.filename}"))


def _read_run(path: Path, seen: Seen, folder: str) -> Read:
    from lab.archive.reports import judged_files

    files = read_bundle(path)
    result = judged_files(files, seen.name)
    key = run_key(files.record(seen.record).sha256)
    size = sum(record.size for record in result.manifest.files.values())
    return Read(seen, rows_of(result, key, folder, _source()), size)


def _session_name(root: Path, seen: Seen) -> str:
    """What a bundle that does not name its session is told to belong to: the folder it lies in."""
    path = path_of(root, seen.place, seen.folder, seen.name)
    return path.resolve().parent.name if HERE in (seen.folder, seen.name) else seen.folder


def _source() -> str:
    from lab.archive.reports import source

    return source()


def _all_read(root: Path, wanted: Sequence[Seen]) -> Iterator[Read]:
    """Each as soon as it is there; many are judged by as many processes as there are CPUs. Raises LabTrouble."""
    if len(wanted) <= FEW:
        yield from (read_one(root, seen) for seen in wanted)
        return
    cpus = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("forkserver")  # we may have threads, and a fork of those may hang
    context.set_forkserver_preload(["lab.archive.reports", "lab.archive.fill"])
    with ProcessPoolExecutor(cpus, mp_context=context, initializer=_serve) as pool:
        try:
            for part in range(0, len(wanted), 64 * cpus):
                reading = [pool.submit(read_one, root, seen) for seen in wanted[part : part + 64 * cpus]]
                yield from (done.result() for done in as_completed(reading))
        except BrokenProcessPool as exc:
            raise LabTrouble(
                "a process that judged bundles was killed", hint="once more: what was read is kept"
            ) from exc
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _serve() -> None:
    """A process that judges: a Ctrl-C is its parent's, and it does not outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


# -- into the index --------------------------------------------------------------------------------------------------


def _stamps(index: Index) -> dict[tuple[str, str, str], str]:
    return {(p, f, n): stamp for p, f, n, stamp in index.execute("SELECT place, folder, name, stamp FROM stamps")}


def _stamp_of(seen: Seen, known: str) -> str:
    """What could not be read is tried again by other code."""
    return f"{UNREAD} {_source()} {seen.stamp}" if known.startswith(UNREAD) else seen.stamp


def _put(index: Index, read: Read) -> None:
    """The rows of one bundle, all or none; of copies of a run, those of the first place stand for it."""
    seen, told = read.seen, read.told
    where = (seen.place, seen.folder, seen.name)
    key, state = (told.run.key, PRUNED if seen.record == HUSK else THERE) if told else ("", UNREAD)
    stamp = seen.stamp if told else _stamp_of(seen, UNREAD)
    with index.change():
        before = index.take(BundleRow, "WHERE place = ? AND folder = ? AND name = ?", *where)
        index.put(BundleRow(*where, key, state, read.size, read.why))
        index.execute("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?)", *where, stamp)
        for old in before:
            if old.key not in ("", key):
                _drop_unused(index, old.key)
        first = index.take(BundleRow, "WHERE key = ? ORDER BY place, folder, name LIMIT 1", key)
        if told is not None and first and (first[0].place, first[0].folder, first[0].name) == where:
            _put_run(index, told)


def _put_run(index: Index, told: Told) -> None:
    old = index.take(RunRow, "WHERE key = ?", told.run.key)
    index.put(told.run)
    index.put_findings(told.run.key, told.findings)
    index.put(told.kernel)
    index.put(told.host)
    for row in old:
        _drop_unused_facts(index, row)


def _forget(index: Index, gone: Iterable[tuple[str, str, str]]) -> None:
    """Bundles that are no longer there, and folders of sessions (without a name)."""
    parted: dict[bool, list[tuple[str, str, str]]] = defaultdict(list)
    for where in gone:
        parted[bool(where[2])].append(where)
    for where in parted[True]:
        with index.change():
            rows = index.take(BundleRow, "WHERE place = ? AND folder = ? AND name = ?", *where)
            for table in ("bundles", "stamps"):
                index.execute(f"DELETE FROM {table} WHERE place = ? AND folder = ? AND name = ?", *where)  # noqa: S608
            for row in rows:
                _drop_unused(index, row.key)
    for place, folder, _ in parted[False]:
        with index.change():
            index.execute("DELETE FROM sessions WHERE place = ? AND folder = ?", place, folder)
            index.execute("DELETE FROM stamps WHERE place = ? AND folder = ? AND name = ''", place, folder)


def _drop_unused(index: Index, key: str) -> None:
    """A run of which no bundle is left; where one is, that is to be read again, for it stands for the run now."""
    if index.execute("SELECT 1 FROM bundles WHERE key = ? LIMIT 1", key):
        index.execute(
            "DELETE FROM stamps WHERE (place, folder, name) IN (SELECT place, folder, name FROM bundles WHERE key = ?)",
            key,
        )
        return
    rows = index.take(RunRow, "WHERE key = ?", key)
    index.execute("DELETE FROM runs WHERE key = ?", key)
    index.execute("DELETE FROM findings WHERE key = ?", key)
    for row in rows:
        _drop_unused_facts(index, row)


def _drop_unused_facts(index: Index, run: RunRow) -> None:
    """The kernel and the host of a run that is gone, or has others now."""
    for table, column, key in (("kernels", "kernel", run.kernel), ("hosts", "host", run.host)):
        if not index.execute(f"SELECT 1 FROM runs WHERE {column} = ? LIMIT 1", key):  # noqa: S608 - names of ours
            index.execute(f"DELETE FROM {table} WHERE key = ?", key)  # noqa: S608 - names of ours


def _put_session(index: Index, root: Path, place: str, folder: str) -> None:
    path = path_of(root, place, folder)
    stamp = f"plan {plan_stamp(path)}"
    known = index.execute("SELECT stamp FROM stamps WHERE place = ? AND folder = ? AND name = ''", place, folder)
    if known == [(stamp,)]:
        return
    row = _session_row(path, place, folder)
    with index.change():
        index.put(row)
        index.execute("INSERT OR REPLACE INTO stamps VALUES (?, ?, '', ?)", place, folder, stamp)


def _session_row(path: Path, place: str, folder: str) -> SessionRow:
    from lab.archive.reports import stored_plan

    named = name(path.resolve().name)
    if not plan_stamp(path):
        return SessionRow(place, folder, named, "", "", "", 0, "", 0, "")
    try:
        plan: SessionPlan = stored_plan(path)
    except BadInput as exc:
        return SessionRow(place, folder, named, "", "", "", 0, "", 0, text("; ".join(exc.problems)))
    return SessionRow(
        place=place,
        folder=folder,
        name=name(plan.name),
        started=name(plan.started),
        command=text(plan.command),
        accelerator=name(plan.accelerator),
        pairs=max(0, min(plan.pairs, 2**31)),
        shape=text(plan.host),
        planned=len(plan.runs),
        problem="",
    )


__all__ = ["Filled", "HostRow", "KernelRow", "catch_up", "fill_one", "read_one", "rebuild"]
