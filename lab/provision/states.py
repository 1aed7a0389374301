# SPDX-License-Identifier: GPL-2.0-only
"""Saved pairs on disk: a folder each, complete when it exists, valid while this host has not been booted anew.

states/KEY/state.json                what it is, and the digest of every file below
           receiver.ram .state       memory (sparse; never written to again) and devices; sender likewise
           saved.jsonl               what the receiver counted when it was saved
           captures/                 how its guests booted: consoles, preflight
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter

from lab.contracts import EMBEDDED
from lab.errors import HostTrouble
from lab.host.digests import sha256_of, sparse_digest
from lab.host.filecache import drop as drop_folder
from lab.host.paths import cache_root
from lab.host.records import load_record, write_record
from lab.units import MIB

RECORD = "state.json"
SAMPLE = "saved.jsonl"
"""The receiver's own count of its memory and cgroups when it was saved."""
USED = "used"
FAILED = "failed"
"""There since a pair could not be restored although the state is as it was saved; gone when one was."""
FORMAT = 2
MAX_AGE = timedelta(days=7)
MAX_MIB = 12 * 1024
"""Limits of the store: states that were not used for so long go, then the least recently used until it fits."""

CONNECTIONS = (EMBEDDED, "qemu:///session")
"""Where QEMU runs on this host as this user: its files are ours, and it takes open descriptors from us."""


def cannot_save(connection: str) -> str:
    """Why pairs cannot be saved and restored through this connection; "" when they can."""
    if connection in CONNECTIONS:
        return ""
    return f"states are kept where QEMU runs as this user on this host, which {connection} does not promise"


@dataclass(frozen=True)
class SavedState:
    """A saved pair. `born` is the id of the pair that was saved, `about` what makes its key, for people; `digests` what
    its files hold, by their paths in its folder."""

    key: str
    born: str
    made: str
    about: dict[str, str]
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return folder_of(self.key)

    @property
    def captures(self) -> Path:
        return self.folder / "captures"

    @property
    def disk_mib(self) -> int:
        """What it takes of the disk: memory that was never touched takes nothing, nor does a state that was dropped."""
        blocks = 0
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.rglob("*"):
                blocks += path.stat().st_blocks if path.is_file() else 0
        return blocks * 512 // MIB

    @property
    def last_used(self) -> float:
        """Seconds since 1970; 0 when another process has dropped the state meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / USED).stat().st_mtime
        return 0.0

    def touch(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
            (self.folder / USED).touch()
            (self.folder / FAILED).unlink(missing_ok=True)


_CHECKED: TypeAdapter[SavedState] = TypeAdapter(SavedState)


def store() -> Path:
    return cache_root() / "states"


def folder_of(key: str) -> Path:
    return store() / key


def _digest(path: Path, *, anew: bool = False) -> str:
    return sparse_digest(path, anew=anew) if path.suffix == ".ram" else sha256_of(path, anew=anew)


def seal(folder: Path, state: SavedState) -> None:
    """Write the record of a state whose files are complete in `folder`, which gets its own name afterwards."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (RECORD, USED, FAILED)]
    digests = {str(path.relative_to(folder)): _digest(path) for path in files}
    (folder / USED).touch()
    write_record(folder / RECORD, {"format": FORMAT, **asdict(state), "digests": digests})


class UnreadError(HostTrouble):
    """A state could not be looked at, and nothing is known of it."""


LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ENOSPC, errno.EDQUOT})


def of_host(exc: OSError) -> bool:
    """Whether an error tells what the host lacks at the moment (memory, descriptors, disk), and nothing of a file."""
    return exc.errno in LACKS


def find(key: str) -> SavedState | None:
    """The state, or None where there is none. Raises HostTrouble, naming the file, when it is not as it was saved, and
    UnreadError where nobody can say."""
    folder = folder_of(key)
    if not folder.is_dir():
        return None
    state = _read(folder)
    if wrong := damage(state):
        raise HostTrouble(wrong)
    return state


def damage(state: SavedState, *, anew: bool = False) -> str:
    """Which files are not as they were saved; "" when all are. `anew`: read them all, whatever is remembered.

    Raises UnreadError.
    """
    found = []
    for name, wanted in state.digests.items():
        try:
            is_well = _digest(state.folder / name, anew=anew) == wanted
        except OSError as exc:
            if of_host(exc):
                raise UnreadError(f"{state.folder / name} cannot be read now: {exc.strerror}") from exc
            is_well = False
        if not is_well:
            found.append(name)
    return f"{state.folder}: {', '.join(found)} is not as it was saved" if found else ""


def _read(folder: Path) -> SavedState:
    try:
        record = load_record(folder / RECORD)
        if record.pop("format") != FORMAT:
            raise HostTrouble(f"{folder / RECORD} has another format")
        state = _CHECKED.validate_python(record)
    except (OSError, ValueError, KeyError) as exc:
        lacks = isinstance(exc, OSError) and of_host(exc)
        raise (UnreadError if lacks else HostTrouble)(f"{folder / RECORD} cannot be read: {exc}") from exc
    if state.key != folder.name:
        raise HostTrouble(f"{folder / RECORD} is that of {state.key}")
    if not state.digests:
        raise HostTrouble(f"{folder / RECORD} names no files")
    return state


def spare(key: str) -> bool:
    """Whether a state that failed may be tried once more: somebody may have killed its QEMU. Not twice in a row."""
    failed = folder_of(key) / FAILED
    if failed.exists():
        return False
    with contextlib.suppress(OSError):
        failed.touch()
    return True


def drop(key: str) -> None:
    """Remove a state. Guests that run from it keep their files open."""
    drop_folder(folder_of(key))


def stored() -> Iterator[SavedState]:
    """Every state that can be read, the most recently used first; those that are damaged are removed."""
    found: list[SavedState] = []
    for folder in store().glob("*") if store().is_dir() else ():
        if not folder.is_dir() or folder.suffix:
            continue
        try:
            found.append(_read(folder))
        except UnreadError:
            continue
        except HostTrouble:
            drop(folder.name)
    return iter(sorted(found, key=lambda s: s.last_used, reverse=True))


def doomed(states: list[tuple[float, int]], now: float, max_age: timedelta, max_mib: int) -> list[int]:
    """Which of (last used, MiB), the most recently used first, have to go: by age, then what is beyond the size."""
    going, total = [], 0
    for number, (used, size) in enumerate(states):
        total += size
        if now - used > max_age.total_seconds() or total > max_mib:
            going.append(number)
            total -= size
    return going


def boot_id() -> str:
    """Of this host's kernel, made anew at each boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def prune(
    max_age: timedelta = MAX_AGE, max_mib: int = MAX_MIB, *, boot: str = "", dry_run: bool = False
) -> tuple[tuple[SavedState, int], ...]:
    """Remove what is too old or too much, and what an earlier boot of this host left; those states, with their MiB.

    dry_run  removes nothing
    """
    states = list(stored())
    old = [s for s in states if boot and s.about.get("boot") != boot]
    kept = [s for s in states if s not in old]
    going = doomed([(s.last_used, s.disk_mib) for s in kept], time.time(), max_age, max_mib)
    removed = tuple((state, state.disk_mib) for state in (*old, *(kept[n] for n in going)))
    for state, _ in () if dry_run else removed:
        drop(state.key)
    return removed
