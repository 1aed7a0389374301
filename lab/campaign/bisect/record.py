# SPDX-License-Identifier: GPL-2.0-only
"""A search on disk: written whole after every run, so that whatever ends this process, no run is lost."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from lab.campaign.bisect.model import Search
from lab.errors import BadInput, HostTrouble
from lab.host.records import load_record, write_record

FILE = "bisect.json"
FORMAT = 2
READABLE = (1, FORMAT)
"""Of 1 a batch that was begun is of one suspect."""
PREFIX = "bisect-"


@cache
def _adapter() -> TypeAdapter[Search]:
    return TypeAdapter(Search)


def new_folder(results: Path) -> Path:
    """A folder for a search, beside its sessions."""
    folder = results / f"{PREFIX}{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    return folder


def save(folder: Path, search: Search) -> None:
    """Raises OSError."""
    write_record(folder / FILE, {"format": FORMAT, "search": asdict(search)})


def load(folder: Path) -> Search:
    """Raises BadInput for a folder that holds no search, or a damaged one."""
    path = folder / FILE
    hint = "name the folder that lab bisect told, results/bisect-..."
    try:
        record = load_record(path)
        if record["format"] not in READABLE:
            raise ValueError(f"format {record['format']!r}, and this lab knows {FORMAT}")
        found = _adapter().validate_python(record["search"])
        _ = found.range.history
    except FileNotFoundError as exc:
        raise BadInput([f"{folder}: there is no search in it ({FILE})"], hint=hint) from exc
    except BadInput as exc:
        raise BadInput([f"{path} is damaged: {exc.problems[0]}"], hint=hint) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise BadInput([f"{path} is damaged: {str(exc).splitlines()[0]}"], hint=hint) from exc
    return found


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """One process at a time goes on with a search. Raises HostTrouble when another one does."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise HostTrouble(f"another process is at work on {folder}", hint="wait for it, or end it") from exc
    try:
        yield
    finally:
        lock.release()
