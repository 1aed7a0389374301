# SPDX-License-Identifier: GPL-2.0-only
"""A folder as one read-only file that a guest mounts."""

from __future__ import annotations

import uuid
from pathlib import Path

from lab.host.commands import run


def pack(tree: Path, target: Path, key: str) -> None:
    """Uncompressed, because under emulation unpacking costs more than reading. Same tree and key, same bytes."""
    label = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
    run(["mkfs.erofs", "--quiet", "--all-root", "-x-1", "-T0", "-U", label, str(target), str(tree)])
