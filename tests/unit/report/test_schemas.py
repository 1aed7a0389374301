# SPDX-License-Identifier: GPL-2.0-only
"""docs/schemas is made from the models, and says of real documents what is true."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

from lab.archive.schemas import MODELS, schema, text
from lab.evidence.manifest import Manifest
from lab.host.paths import project_root, suites_dir
from lab.report import jsonl
from tests.unit.archive.test_compare import row
from tests.unit.cli.conftest import write_run
from tests.unit.report import builder

FOLDER = project_root() / "docs" / "schemas"


def valid(name: str, document: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(document)


@pytest.mark.parametrize("name", MODELS)
def test_the_docs_hold_what_the_models_say(name: str) -> None:
    assert (FOLDER / f"{name}.schema.json").read_text() == text(name), "python -m lab.archive.schemas docs/schemas"
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_there_is_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.schema.json" for name in MODELS}


def test_every_line_of_results_is_valid() -> None:
    lines = jsonl.render(builder.full_session(), PurePosixPath("/srv")).splitlines()
    for line in lines:
        valid("results", json.loads(line))
    record: dict[str, Any] = json.loads(lines[0])
    for key, value in (("verdict", None), ("findings", [{}]), ("repeat", -1), ("seconds", {"drive": 1})):
        with pytest.raises(jsonschema.ValidationError):
            valid("results", record | {key: value})
    del record["kernel_sha256"]
    with pytest.raises(jsonschema.ValidationError):
        valid("results", record)


def test_every_key_of_a_record_is_in_the_schema() -> None:
    record = jsonl.as_record(builder.full_session().results[0], PurePosixPath("/srv"))
    assert set(record) <= set(schema("results")["properties"])


def test_a_manifest_is_valid(tmp_path: Path) -> None:
    stored = json.loads((write_run(tmp_path / "run", "hold") / "manifest.json").read_text())
    manifest = Manifest.model_validate(stored).model_dump(mode="json")  # older names are read, and not written
    valid("manifest", manifest)
    wrong = copy.deepcopy(manifest)
    wrong["kernel"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        valid("manifest", wrong)


def test_a_row_of_the_archive_is_valid() -> None:
    told = vars(row("F", 1)) | dict.fromkeys(("charged", "gone", "limited", "cost_low", "cost_high"))
    told |= dict.fromkeys(("repeat", "runs_before"), 0) | dict.fromkeys(
        ("seconds", "provision", "drive", "collect"), 0.5
    )
    valid("history", told)
    with pytest.raises(jsonschema.ValidationError):
        valid("history", told | {"seconds": -1})


@pytest.mark.parametrize("path", sorted(suites_dir().glob("*.toml")), ids=lambda path: path.stem)
def test_suites_are_valid(path: Path) -> None:
    valid("suite", tomllib.loads(path.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        valid("suite", {"description": "no cases"})


def test_files_of_a_nightly_and_of_known_issues_are_valid() -> None:
    valid("nightly", {"target": [{"name": "a", "kernel": "6.12"}], "mail": {"to": ["a@b"], "from": "a@b"}})
    valid("known", {"issue": [{"id": "a", "case": "hold"}]})
    for name, wrong in (("nightly", {"target": []}), ("known", {"issue": [{"case": "hold"}]})):
        with pytest.raises(jsonschema.ValidationError):
            valid(name, wrong)
