# SPDX-License-Identifier: GPL-2.0-only
"""Small records that are kept for later: written whole, and read with care. A damaged one counts as none.

A record is JSON. It carries a digest of itself, so that a flipped digit is damage as well as a missing end. One from
before there were digests is taken as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lab.units import MIB

T = TypeVar("T")

DIGEST = "digest"
MOST = 64 * MIB
"""Bytes. A record is small; what is larger is none."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that readers see all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(exc.errno, exc.strerror, str(path)) from exc  # a full disk names no file by itself


def write_record(path: Path, value: Mapping[str, Any]) -> None:
    """Write a record, whole and with its digest. Raises OSError."""
    write_whole(path, dump_record(value))


def dump_record(value: Mapping[str, Any]) -> bytes:
    """The bytes of a record, with its digest."""
    plain = json.loads(json.dumps(value))
    return json.dumps({**plain, DIGEST: _digest(plain)}, indent=1).encode() + b"\n"


def read_record(path: Path, shape: Callable[[dict[str, Any]], T]) -> T | None:
    """What `shape` makes of a record; None where there is none.

    A damaged one counts as none: it is told once, with its path, and put aside as PATH.damaged. `shape` refuses what it
    cannot take by a ValueError, KeyError or TypeError.
    """
    try:
        return shape(load_record(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        put_aside(path, exc)
        return None


def load_record(path: Path) -> dict[str, Any]:
    """The record without its digest. Raises FileNotFoundError, and OSError or ValueError for a damaged one."""
    with path.open("rb") as stream:
        data = stream.read(MOST + 1)
    return parse_record(data)


def parse_record(data: bytes) -> dict[str, Any]:
    """The record in these bytes, without its digest. Raises ValueError for a damaged one."""
    if len(data) > MOST:
        raise ValueError(f"it has more than {MOST // MIB} MiB")
    try:
        record = json.loads(data)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    digest = record.pop(DIGEST, None)
    if digest is not None and digest != _digest(record):
        raise ValueError("it is not what its digest says")
    return record


def put_aside(path: Path, why: object) -> None:
    """Move a damaged record out of the way, and say so."""
    aside = path.with_name(f"{path.name}.damaged")
    with contextlib.suppress(OSError):  # another process was first, or nobody may write here
        path.replace(aside)
    tell(f"{path} is damaged, so it is not used ({_cause(why)}); kept as {aside.name}")


def tell(what: str) -> None:
    """Something that was found to be wrong, and put right, on the way."""
    print(f"lab: {what}", file=sys.stderr, flush=True)


def _cause(why: object) -> str:
    """The exception's own words on one line, without control characters that a damaged file may have put there."""
    text = f"no {why}" if isinstance(why, KeyError) else str(why)
    return "".join(c if c.isprintable() else " " for c in text)[:200]


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
