# SPDX-License-Identifier: GPL-2.0-only
"""Real bundles, kept: one archive, for most of their bytes are the same. `pack` makes it from folders of runs."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Iterable
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "corpus" / "speed" / "bundles.tar.xz"

Bundles = dict[str, dict[str, bytes]]
"""DESIGN.NIC.CASE to the bytes of the bundle by path."""


def kept(archive: Path = ARCHIVE) -> Bundles:
    found: Bundles = {}
    with tarfile.open(archive, "r:xz") as tar:
        for member in tar:
            data = tar.extractfile(member)
            name, _, path = member.name.partition("/")
            if data is not None:
                found.setdefault(name, {})[path] = data.read()
    return found


def pack(folders: Iterable[Path], archive: Path = ARCHIVE) -> None:
    """What manifests vouch for, files of one kind beside each other."""
    rows: list[tuple[str, str, Path]] = []
    for folder in folders:
        manifest = json.loads((folder / "manifest.json").read_text())
        name = f"{manifest['kernel']['design']}.{manifest['nic']}.{manifest['case']}"
        rows += [(p.rpartition("/")[2], f"{name}/{p}", folder / p) for p in (*manifest["files"], "manifest.json")]
    with (
        lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as xz,
        tarfile.open(fileobj=xz, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for _, inside, path in sorted(rows):
            data, info = path.read_bytes(), tarfile.TarInfo(inside)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
