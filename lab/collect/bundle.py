# SPDX-License-Identifier: GPL-2.0-only
"""Writes the directory of one run. The manifest comes last: a directory without it is no bundle."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from lab.collect.stored import DERIVED, Stored, read_bundle
from lab.contracts import MANIFEST
from lab.errors import BadInput
from lab.evidence.files import record_of
from lab.evidence.manifest import FORMAT, FileRecord, Manifest
from lab.evidence.seal import sealed

__all__ = ["DERIVED", "MANIFEST", "BundleWriter", "read_bundle", "write_whole"]

MODE = "LAB_BUNDLE_MODE"
"""Names the permissions of a bundle's files, in octal; folders can be entered by who may read the files."""


def file_mode() -> int:
    """Permissions of a bundle's files: nobody else's business, unless LAB_BUNDLE_MODE says otherwise."""
    chosen = os.environ.get(MODE) or "600"
    try:
        mode = int(chosen, 8)
    except ValueError:
        mode = 0
    if mode & ~0o666 or mode & 0o600 != 0o600:
        problem = f"{MODE}={chosen}: no permissions of a file that its owner reads and writes"
        raise BadInput([problem], hint=f"{MODE}=644")
    return mode


def folder_mode() -> int:
    mode = file_mode()
    return mode | (mode & 0o444) >> 2


@dataclass(frozen=True)
class BundleWriter:
    """A bundle in the making."""

    root: Path

    def path(self, relative: str) -> Path:
        """Where a file of the bundle goes; its folder is there."""
        path = self.root / relative
        self.root.parent.mkdir(parents=True, exist_ok=True)
        folders = [folder for folder in path.parents if folder == self.root or self.root in folder.parents]
        for folder in reversed(folders):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                folder.chmod(folder_mode())
        return path

    def add(self, relative: str, data: bytes) -> None:
        path = self.path(relative)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            os.fchmod(file.fileno(), file_mode())
            file.write(data)

    def finish(self, fields: Mapping[str, Any]) -> Manifest:
        """Hash every file and write the manifest by rename. Raises pydantic.ValidationError on wrong fields."""
        return self._write(Manifest(**{**fields, "format": FORMAT, "files": self.files(MANIFEST)}))

    def files(self, but: str) -> dict[str, FileRecord]:
        """Size and hash of every file but the one that is to list them. Their permissions are set as well."""
        self.path(but)
        stored = Stored(self.root, budget=None)
        files = {name: stored.record(name) for name in stored if name != but}
        for name in files:  # programs' output is written by others
            (self.root / name).chmod(file_mode())
        for folder in {self.root / parent for name in files for parent in PurePath(name).parents}:
            folder.chmod(folder_mode())
        return files

    def append(self, manifest: Manifest, relative: str, data: bytes) -> Manifest:
        """Add one file to a finished bundle; the manifest vouches for it from then on."""
        write_whole(self.path(relative), data, file_mode())
        return self._write(manifest.model_copy(update={"files": {**manifest.files, relative: record_of(data)}}))

    def _write(self, manifest: Manifest) -> Manifest:
        data = sealed(manifest)
        write_whole(self.path(MANIFEST), data, file_mode())
        return Manifest.model_validate_json(data)


def write_whole(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put a file in the place of whatever is there, be it a link: readers see all of it or nothing.

    mode  its permissions; None for what the umask leaves
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(scratch, flags, 0o666 if mode is None else 0o600), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
        scratch.rename(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()
