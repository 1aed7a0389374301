# SPDX-License-Identifier: GPL-2.0-only
"""The tables of the index, as steps from one version to the next. A step that was released is never changed.

`sum` is the check of a row; columns are those of lab.archive.rows. `stamps` says which state of a file was read: it is
the only table that two hosts with the same bundles need not have in common.
"""

from __future__ import annotations

APPLICATION = 0x4C41_4221
"""PRAGMA application_id: `LAB!`."""

_FIRST = (
    """CREATE TABLE sessions (
        place TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL, started TEXT NOT NULL, command TEXT NOT NULL,
        accelerator TEXT NOT NULL, pairs INTEGER NOT NULL, shape TEXT NOT NULL, planned INTEGER NOT NULL,
        problem TEXT NOT NULL, sum TEXT NOT NULL, PRIMARY KEY (place, folder)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE bundles (
        place TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
        size INTEGER NOT NULL, why TEXT NOT NULL, sum TEXT NOT NULL,
        PRIMARY KEY (place, folder, name)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX bundles_key ON bundles (key)",
    """CREATE TABLE stamps (
        place TEXT NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL, stamp TEXT NOT NULL,
        PRIMARY KEY (place, folder, name)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE kernels (
        key TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, release TEXT NOT NULL, design TEXT NOT NULL,
        sha256 TEXT NOT NULL, config_sha256 TEXT NOT NULL, initrd_sha256 TEXT NOT NULL, base TEXT NOT NULL,
        series TEXT NOT NULL, fragments TEXT NOT NULL, described TEXT NOT NULL, sum TEXT NOT NULL)
        STRICT, WITHOUT ROWID""",
    """CREATE TABLE hosts (
        key TEXT NOT NULL PRIMARY KEY, node TEXT NOT NULL, system TEXT NOT NULL, cpu TEXT NOT NULL,
        cpus INTEGER NOT NULL, memory_mib INTEGER NOT NULL, qemu TEXT NOT NULL, libvirt TEXT NOT NULL,
        accelerator TEXT NOT NULL, connection TEXT NOT NULL, sum TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE runs (
        key TEXT NOT NULL PRIMARY KEY, run TEXT NOT NULL, session TEXT NOT NULL,
        case_name TEXT NOT NULL, nic TEXT NOT NULL, design TEXT NOT NULL, line TEXT NOT NULL, cell TEXT NOT NULL,
        repeat INTEGER NOT NULL, predicted TEXT NOT NULL, word TEXT NOT NULL, surprise INTEGER NOT NULL,
        fault INTEGER NOT NULL, rule TEXT NOT NULL, why TEXT NOT NULL, pointer TEXT NOT NULL, held INTEGER,
        charged INTEGER, escaped INTEGER, gone INTEGER, limited INTEGER, cost REAL, cost_low REAL, cost_high REAL,
        oom TEXT NOT NULL, victims TEXT NOT NULL, incidents TEXT NOT NULL, started TEXT NOT NULL,
        seconds REAL NOT NULL, provision REAL NOT NULL, drive REAL NOT NULL, collect REAL NOT NULL,
        runs_before INTEGER NOT NULL, skip TEXT NOT NULL, kernel TEXT NOT NULL, host TEXT NOT NULL,
        lab_version TEXT NOT NULL, judged_by TEXT NOT NULL, reproduce TEXT NOT NULL, sum TEXT NOT NULL) STRICT""",
    "CREATE INDEX runs_cell ON runs (cell, started)",
    "CREATE INDEX runs_run ON runs (run, started)",
    "CREATE INDEX runs_kernel ON runs (kernel)",
    "CREATE INDEX runs_host ON runs (host)",
    """CREATE TABLE findings (
        key TEXT NOT NULL, n INTEGER NOT NULL, rule TEXT NOT NULL, word TEXT NOT NULL, message TEXT NOT NULL,
        pointer TEXT NOT NULL, sum TEXT NOT NULL, PRIMARY KEY (key, n)) STRICT, WITHOUT ROWID""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
