"""Saved pairs on disk: a folder each, complete when it exists, valid while this host has not been booted anew.

states/KEY/state.json                what it is, and the stamp of every file below
           receiver.ram .state       memory (sparse; never opened for writing again) and devices; sender likewise
           captures/                 how its guests booted: consoles, preflight
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.contracts import EMBEDDED
from lab.errors import HostTrouble
from lab.paths import cache_root
from lab.units import MIB

RECORD = "state.json"
SAMPLE = "saved.jsonl"
"""The receiver's own count of its memory and cgroups when it was saved."""
USED = "used"
FORMAT = 1
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
    """A saved pair. `born` is the id of the pair that was saved, `about` what makes its key, for people."""

    key: str
    born: str
    made: str
    about: dict[str, str]
    stamps: dict[str, tuple[int, int, int]] = field(default_factory=dict)

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


def store() -> Path:
    return cache_root() / "states"


def folder_of(key: str) -> Path:
    return store() / key


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Size in bytes, inode and time of the last change in ns, of what a pair is restored from and compared with."""
    files = [*folder.glob("*.ram"), *folder.glob("*.state"), *folder.glob(SAMPLE)]
    return {f.name: (s.st_size, s.st_ino, s.st_mtime_ns) for f in sorted(files) for s in [f.stat()]}


def seal(folder: Path, state: SavedState) -> None:
    """Write the record of a state whose files are complete in `folder`, which gets its own name afterwards."""
    (folder / USED).touch()
    record = {"format": FORMAT, **asdict(state), "stamps": _stamps(folder)}
    (folder / RECORD).write_text(json.dumps(record, indent=1))


def find(key: str) -> SavedState | None:
    """The state, or None where there is none. Raises HostTrouble, naming the file, when it is not as it was saved."""
    folder = folder_of(key)
    if not folder.is_dir():
        return None
    state = _read(folder)
    changed = [name for name, stamp in _stamps(folder).items() if state.stamps.get(name) != stamp]
    missing = sorted(state.stamps.keys() - _stamps(folder).keys())
    if changed or missing:
        raise HostTrouble(f"{folder}: {', '.join([*changed, *missing])} is not as it was saved")
    return state


def _read(folder: Path) -> SavedState:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        if record.pop("format") != FORMAT:
            raise HostTrouble(f"{folder / RECORD} has another format")
        stamps = {name: tuple(stamp) for name, stamp in record.pop("stamps").items()}
        state = SavedState(**record, stamps=stamps)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise HostTrouble(f"{folder / RECORD} cannot be read: {exc}") from exc
    if state.key != folder.name:
        raise HostTrouble(f"{folder / RECORD} is that of {state.key}")
    return state


def drop(key: str) -> None:
    """Remove a state. Guests that run from it keep their files open."""
    folder = folder_of(key)
    doomed = folder.with_name(f"{key}.dropped.{time.monotonic_ns()}")
    try:
        folder.rename(doomed)  # at once: nobody may find half of it
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def stored() -> Iterator[SavedState]:
    """Every state that can be read, the most recently used first; those that cannot are removed."""
    found: list[SavedState] = []
    for folder in store().glob("*") if store().is_dir() else ():
        if not folder.is_dir() or folder.suffix:
            continue
        try:
            found.append(_read(folder))
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
    max_age: timedelta = MAX_AGE, max_mib: int = MAX_MIB, *, boot: str = ""
) -> tuple[tuple[SavedState, int], ...]:
    """Remove what is too old or too much, and what an earlier boot of this host left; those states, with their MiB."""
    states = list(stored())
    old = [s for s in states if boot and s.about.get("boot") != boot]
    kept = [s for s in states if s not in old]
    going = doomed([(s.last_used, s.disk_mib) for s in kept], time.time(), max_age, max_mib)
    removed = tuple((state, state.disk_mib) for state in (*old, *(kept[n] for n in going)))
    for state, _ in removed:
        drop(state.key)
    return removed
