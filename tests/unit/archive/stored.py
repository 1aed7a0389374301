# SPDX-License-Identifier: GPL-2.0-only
"""Results folders with real bundle bytes, and all that an index says of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from tests.unit.cli.conftest import write_run, write_session
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.told import with_digest

OLD, NEW = "20260101-000000-aaaa", "20260102-000000-bbbb"
TABLES = ("sessions", "bundles", "kernels", "hosts", "runs", "findings")
Contents = dict[str, list[tuple[Any, ...]]]


def write_results(root: Path) -> list[Path]:
    """Two sessions, five runs: of `hold` one FAIL that nobody predicted, and one PASS."""
    _, first = write_session(root, OLD, ("hold", "release", "bystander"))
    _, second = write_session(root, NEW, ("hold", "copy-control"))
    write_run(first[0], "hold", kernel=KERNELS["stock"])
    bundles = [*first, *second]
    for day, bundle in enumerate(bundles, 1):
        changed(bundle, started=f"2026-01-{day:02}T00:00:00.000+00:00")
    return bundles


def changed(bundle: Path, **fields: object) -> None:
    """Write a manifest anew with other values, and the digest that goes with them."""
    path = bundle / "manifest.json"
    path.write_bytes(with_digest(json.loads(path.read_text()) | fields))


def contents(index: Index) -> Contents:
    """Every row that is made of bundles."""
    return {table: sorted(index.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}  # noqa: S608


def asked(root: Path) -> Contents:
    """The same of the index of a results folder, brought up to date as a command does."""

    def ask(index: Index) -> Contents:
        catch_up(index, root)
        return contents(index)

    return use_index(root, ask)


def anew(root: Path) -> Contents:
    """What the bundles alone come to."""
    from lab.archive.fill import rebuild

    rebuild(root, lambda _: None)
    return use_index(root, contents)
