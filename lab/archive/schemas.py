# SPDX-License-Identifier: GPL-2.0-only
"""JSON Schemas of what other programs read and write, made from the models: `python -m lab.archive.schemas DIR`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from lab.archive.rows import RunRow
from lab.evidence.manifest import Manifest
from lab.report.jsonl import Record
from lab.spec.known import KnownFile
from lab.spec.night import NightSpec
from lab.spec.suite import SuiteSpec

MODELS: Mapping[str, tuple[type[Any], str]] = {
    "manifest": (Manifest, "manifest.json of a bundle"),
    "results": (Record, "a line of results.jsonl, and of every --json that tells runs"),
    "history": (RunRow, "a line of `lab history --json`: a row of the archive"),
    "suite": (SuiteSpec, "suites/NAME.toml"),
    "nightly": (NightSpec, "FILE.toml of `lab nightly`"),
    "known": (KnownFile, "a file of known issues"),
}
"""By the name of the schema: the model, and what it is of."""


def schema(name: str) -> dict[str, Any]:
    """One schema, as a document of its own."""
    model, what = MODELS[name]
    mode: Any = "validation" if issubclass(model, BaseModel) else "serialization"
    told = TypeAdapter(model).json_schema(mode=mode)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": what, **told}


def write(folder: Path) -> None:
    """All of them into a folder, NAME.schema.json each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        (folder / f"{name}.schema.json").write_text(text(name))


def text(name: str) -> str:
    return json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
