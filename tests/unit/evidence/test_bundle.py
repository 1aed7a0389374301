# SPDX-License-Identifier: GPL-2.0-only
"""A bundle's files against its manifest."""

from __future__ import annotations

import json

import pytest

from lab.errors import BadInput
from lab.evidence.bundle import parse, record_of
from lab.evidence.timing import Span, Timing, dump_timing
from lab.verdict.model import Word
from tests.known import judge
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import with_digest


def test_a_whole_bundle_has_no_problems() -> None:
    evidence = parse(story("hold").files())
    assert evidence.problems == ()
    assert evidence.altered == frozenset()
    assert evidence.sender
    assert evidence.preflight


def test_absent_altered_and_unvouched_files_are_told() -> None:
    files = story("hold").files()
    manifest = json.loads(files["manifest.json"])
    del manifest["files"]["sender/console.log"]
    del files["clients/abuser.jsonl"]
    spoilt = {"receiver/console.log": b"x", "manifest.json": with_digest(manifest)}
    evidence = parse({**files, **spoilt})
    assert {p.partition(":")[0] for p in evidence.problems} == {
        "clients/abuser.jsonl",
        "receiver/console.log",
        "sender/console.log",
    }
    assert evidence.altered == {"receiver/console.log"}


def test_files_of_no_concern_may_be_there() -> None:
    files = story("hold").files()
    assert parse({**files, "verdict.json": b"{}", "curve.svg": b""}).problems == ()


def test_a_loopback_run_has_no_sender() -> None:
    told = story("hold", nic="loopback")
    told.absent |= {"sender/console.log", "sender/telemetry.jsonl"}
    files = told.files()
    manifest = json.loads(files["manifest.json"])
    for path in told.absent:
        del manifest["files"][path]
    evidence = parse({**files, "manifest.json": with_digest(manifest)})
    assert evidence.sender is None
    assert evidence.problems == ()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format":1}'])
def test_an_unreadable_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"manifest\.json"):
        parse({"manifest.json": data})


def test_no_manifest_and_unknown_keys_and_formats_are_refused() -> None:
    with pytest.raises(BadInput, match="absent"):
        parse({})
    told = story("hold")
    told.manifest["format"] = 3
    with pytest.raises(BadInput, match="format 3"):
        parse(told.files())
    told.manifest.update(format=1, surprise=1)
    with pytest.raises(BadInput, match="surprise"):
        parse(told.files())


def test_an_oops_in_an_altered_console_convicts_nobody() -> None:
    files = story("hold").files()
    told = story("hold")
    told.tampered["receiver/console.log"] = files["receiver/console.log"] + b"Kernel panic - not syncing: forged\n"
    assert told.verdict().word is Word.ERROR


def test_size_and_hash() -> None:
    assert record_of(b"").size == 0
    assert record_of(b"x").sha256.startswith("2d711642")


def test_where_the_time_went_is_read_when_it_is_told_and_changes_no_verdict() -> None:
    told = story("hold")
    old = told.files()
    timing = Timing(3.0, (Span("pair", "case", 0.0, 1.0),))
    for data, read in ((dump_timing(timing), timing), (b"no JSON", None)):
        manifest = json.loads(old["manifest.json"])
        manifest["files"]["timing.json"] = record_of(data).model_dump()
        evidence = parse({**old, "timing.json": data, "manifest.json": with_digest(manifest)})
        assert (evidence.timing, evidence.problems) == (read, ())
        assert judge(evidence) == told.verdict()
    assert parse(old).timing is None
