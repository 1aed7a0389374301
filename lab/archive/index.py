# SPDX-License-Identifier: GPL-2.0-only
"""The index of an archive: SQLite, which no other module talks to.

It holds nothing that the bundles do not say, so whatever is wrong with it is put right by dropping it. SQLite has no
checksum of what it stores: each row carries one, and is believed only where that fits. The file's name counts up
whenever it is made anew, because a process that has the old one open goes on with it, and with the files beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from lab.archive.rows import BundleRow, FindingRow, HostRow, KernelRow, RunRow, SessionRow, as_values
from lab.archive.schema import APPLICATION, MIGRATIONS
from lab.collect.bundle import folder_mode
from lab.errors import HostTrouble, LabError
from lab.host.records import tell
from lab.units import MIB

T = TypeVar("T")
R = TypeVar("R", BundleRow, HostRow, KernelRow, RunRow, SessionRow)

FOLDER = ".archive"
BUSY = 30.0
"""Seconds that one waits for others: a change takes milliseconds."""
CHECKED = 16 * MIB
"""An index that is no larger is looked through as a whole whenever it is opened: 10,000 runs, and some 20 ms."""
VERSION = len(MIGRATIONS)

_TABLES: dict[type[Any], str] = {
    BundleRow: "bundles",
    HostRow: "hosts",
    KernelRow: "kernels",
    RunRow: "runs",
    SessionRow: "sessions",
}
_NAME = re.compile(r"index-(\d{1,9})\.sqlite3")
_HERE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL}
_HERE |= {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOLFS}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class DamagedError(LabError):
    """The index is not what was written. Nobody but this room sees this: it is made anew."""


class UnwritableError(LabError):
    """Where the index should lie nothing can be kept, so one is made in memory."""


@dataclass(frozen=True)
class Index:
    """An open index. `path` is None for one in memory."""

    connection: sqlite3.Connection
    path: Path | None

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All that is put in the block is there at its end, or nothing of it, whatever ends this process."""
        with _translated():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def put(self, row: BundleRow | HostRow | KernelRow | RunRow | SessionRow) -> None:
        """A row, in the place of one with its key."""
        self._insert(_TABLES[type(row)], as_values(row))

    def put_findings(self, key: str, rows: Iterable[FindingRow]) -> None:
        """The findings of a run, in the place of those it had."""
        self.execute("DELETE FROM findings WHERE key = ?", key)
        for number, row in enumerate(rows):
            self._insert("findings", {"key": key, "n": number, **as_values(row)})

    def _insert(self, table: str, values: Mapping[str, Any]) -> None:
        names = ", ".join((*values, "sum"))
        marks = ", ".join("?" * (len(values) + 1))
        sql = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
        self.execute(sql, *values.values(), _sum(table, values.values()))

    def take(self, kind: type[R], where: str = "", *values: object) -> list[R]:
        """Rows of a table; `where` is SQL of ours with a ? for each value. Raises DamagedError for one altered."""
        names = [field.name for field in fields(kind)]
        return [kind(**dict(zip(names, row, strict=True))) for row in self._rows(_TABLES[kind], names, where, values)]

    def findings(self, key: str) -> list[FindingRow]:
        """Of a run, worst first."""
        names = ["key", "n", *(field.name for field in fields(FindingRow))]
        return [FindingRow(*row[2:]) for row in self._rows("findings", names, "WHERE key = ? ORDER BY n", (key,))]

    def _rows(self, table: str, names: list[str], where: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        columns = ", ".join(f"{table}.{name}" for name in (*names, "sum"))
        found = self.execute(f"SELECT {columns} FROM {table} {where}", *values)  # noqa: S608 - names of ours
        for *row, told in found:
            if _sum(table, row) != told:
                raise DamagedError(f"a row of {table} is not what was written")
        return [row[:-1] for row in found]

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All that a statement gives."""
        with _translated():
            return self.connection.execute(sql, values).fetchall()

    def check(self) -> None:
        """Look through all of it, if it is small. Raises DamagedError."""
        if self.path is not None and self.path.stat().st_size <= CHECKED:
            told = self.execute("PRAGMA integrity_check(1)")
            if told != [("ok",)]:
                raise DamagedError(str(told[0][0]) if told else "it cannot be looked through")


def use_index(root: Path, use: Callable[[Index], T]) -> T:
    """What `use` makes of the index of a results folder. It is told twice where the first index proves damaged.

    `use` takes what the index lacks from the bundles, so an empty one is as good as any. Raises HostTrouble.
    """
    try:
        with opened(root) as index:
            return use(index)
    except DamagedError as exc:
        tell(f"the index of {root} is damaged ({exc.message}): it is made anew from the bundles")
        drop(root)
    except UnwritableError as exc:
        tell(f"{exc.message}: all bundles are read, and nothing is kept")
        return _in_memory(use)
    try:
        with opened(root) as index:
            return use(index)
    except (DamagedError, UnwritableError) as exc:
        tell(f"the index of {root} cannot be kept ({exc.message})")
        return _in_memory(use)


def _in_memory(use: Callable[[Index], T]) -> T:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        index = Index(connection, None)
        _migrate(index)
        return use(index)


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Index]:
    """The newest index of a results folder, made where there is none. Raises DamagedError, UnwritableError.

    Raises HostTrouble for one that a newer lab wrote, or that another process keeps for itself.
    """
    with contextlib.ExitStack() as stack:
        with _translated(), _alone(root / FOLDER):
            path = _newest(root / FOLDER)
            index = Index(stack.enter_context(contextlib.closing(_connected(path))), path)
            _migrate(index)
            index.check()
        yield index


def drop(root: Path) -> None:
    """Forget the index; who has it open goes on with what nobody will read. Raises UnwritableError."""
    with _alone(root / FOLDER):
        found = _NAME.fullmatch(_newest(root / FOLDER).name)
        number = int(found[1]) if found else 0
        (root / FOLDER / f"index-{number + 1}.sqlite3").touch()
        _newest(root / FOLDER)


def _newest(folder: Path) -> Path:
    """The index with the highest number; those before it go. For who is alone."""
    numbered = sorted((int(m[1]), path) for path in folder.iterdir() if (m := _NAME.fullmatch(path.name)))
    for _, old in numbered[:-1]:
        for path in (old, old.with_name(f"{old.name}-wal"), old.with_name(f"{old.name}-shm")):
            path.unlink(missing_ok=True)
    return numbered[-1][1] if numbered else folder / "index-1.sqlite3"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process opens, makes or drops an index at a time."""
    try:
        if folder.parent.is_dir():
            folder.mkdir(exist_ok=True, mode=folder_mode())
        lock = FileLock(folder / "lock", timeout=BUSY)
        with lock:
            yield
    except Timeout as exc:
        raise HostTrouble(f"waited {BUSY:g} s for the index in {folder}: another process opens it") from exc
    except OSError as exc:
        raise UnwritableError(f"no index can be kept in {folder}: {exc.strerror}") from exc


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(index: Index) -> None:
    """Bring a schema up to date, step by step, each whole. Raises HostTrouble for one from the future."""
    ((found,),) = index.execute("PRAGMA user_version")
    ((application,),) = index.execute("PRAGMA application_id")
    if found and application != APPLICATION:
        raise DamagedError("it is another program's")
    if found > VERSION:
        what = f"the index {index.path} has schema {found}, and this lab knows {VERSION}: a newer lab wrote it"
        raise HostTrouble(what, hint="use that lab, or `lab archive rebuild`, which makes it anew for this one")
    for number, steps in enumerate(MIGRATIONS[found:], found + 1):
        with index.change():
            for step in (*steps, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {number}"):
                index.execute(step)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _HELD:
            raise HostTrouble(f"waited {BUSY:g} s for the index: another process changes it") from exc
        if code in _HERE:
            raise UnwritableError(f"SQLite: {exc}") from exc
        raise DamagedError(f"SQLite: {exc}") from exc
    except (UnicodeError, OverflowError) as exc:
        raise DamagedError(str(exc)) from exc


def _sum(table: str, values: Iterable[object]) -> str:
    """A short check of a row."""
    told = json.dumps([table, *values], separators=(",", ":"))
    return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
