# SPDX-License-Identifier: GPL-2.0-only
"""Bundles: written whole or not at all, and read back byte by byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lab.collect.bundle import DERIVED, MANIFEST, BundleWriter, read_bundle
from lab.errors import BadInput
from lab.evidence.manifest import Manifest
from tests.unit.verdict.builder import story

PATHS = st.lists(st.sampled_from(["a", "b.jsonl", "clients/c.jsonl", "receiver/console.log"]), unique=True)


def fields() -> dict[str, Any]:
    return {**story("hold").manifest}


@given(PATHS, st.binary(max_size=64))
def test_what_is_added_is_read_back(paths: list[str], data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        writer = BundleWriter(Path(scratch))
        for path in paths:
            writer.add(path, data)
        assert read_bundle(Path(scratch)) == dict.fromkeys(sorted(paths), data)


def test_the_manifest_hashes_every_file_of_the_evidence(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path)
    writer.add("receiver/console.log", b"hello\n")
    writer.add("empty", b"")
    for name in DERIVED:
        writer.add(name, b"derived")
    manifest = writer.finish(fields())
    assert manifest.files.keys() == {"receiver/console.log", "empty"}
    record = manifest.files["receiver/console.log"]
    assert (record.size, record.sha256) == (6, hashlib.sha256(b"hello\n").hexdigest())
    assert json.loads((tmp_path / MANIFEST).read_bytes())["files"]["empty"]["size"] == 0


def test_without_a_manifest_nothing_was_finished(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path)
    writer.add("a", b"1")
    with pytest.raises(ValidationError):
        writer.finish({**fields(), "surprise": 1})
    assert read_bundle(tmp_path) == {"a": b"1"}


def test_finishing_again_takes_in_what_came_later(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path)
    writer.finish(fields())
    writer.add("late", b"x")
    assert writer.finish(fields()).files.keys() == {"late"}


def test_a_finished_bundle_takes_one_file_more(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path)
    writer.add("a", b"1")
    manifest = writer.append(writer.finish(fields()), "b", b"22")
    assert {name: record.size for name, record in manifest.files.items()} == {"a": 1, "b": 2}
    assert Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()) == manifest


def test_neither_derived_nor_hidden_files_are_evidence(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path)
    for name in (*DERIVED, ".manifest.json", "kept"):
        writer.add(name, b"x")
    assert read_bundle(tmp_path).keys() == {"kept"}


def test_a_bundle_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a directory"):
        read_bundle(tmp_path / "nowhere")
