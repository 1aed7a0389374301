"""Writes the directory of one run, and reads one back. The manifest comes last: a directory without it is no bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import BadInput
from lab.evidence.bundle import record_of
from lab.evidence.manifest import Manifest

MANIFEST = "manifest.json"
DERIVED = frozenset({"verdict.json", "curve.svg"})
"""Made from the evidence; not hashed, and not read back."""


@dataclass(frozen=True)
class BundleWriter:
    """A bundle in the making."""

    root: Path

    def path(self, relative: str) -> Path:
        """Where a file of the bundle goes; its folder is there."""
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, relative: str, data: bytes) -> None:
        self.path(relative).write_bytes(data)

    def finish(self, fields: Mapping[str, Any]) -> Manifest:
        """Hash every file and write the manifest by rename. Raises pydantic.ValidationError on wrong fields."""
        files = {name: record_of(data) for name, data in sorted(read_bundle(self.root).items()) if name != MANIFEST}
        manifest = Manifest(files=files, **fields)
        self._write(manifest)
        return manifest

    def append(self, manifest: Manifest, relative: str, data: bytes) -> Manifest:
        """Add one file to a finished bundle; the manifest vouches for it from then on."""
        self.add(relative, data)
        manifest = manifest.model_copy(update={"files": {**manifest.files, relative: record_of(data)}})
        self._write(manifest)
        return manifest

    def _write(self, manifest: Manifest) -> None:
        scratch = self.root / f".{MANIFEST}"
        scratch.write_text(manifest.model_dump_json(indent=1))
        scratch.rename(self.root / MANIFEST)


def read_bundle(root: Path) -> dict[str, bytes]:
    """Every file of a bundle by its path inside. Raises BadInput when `root` is no directory."""
    if not root.is_dir():
        raise BadInput([f"{root} is not a directory"], hint="name the directory that holds manifest.json")
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in sorted(found.items())
        if name not in DERIVED and not path.name.startswith(".")
    }
