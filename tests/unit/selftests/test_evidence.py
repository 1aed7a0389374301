# SPDX-License-Identifier: GPL-2.0-only
"""What a selftest leaves behind: records of both forms, altered, absent, out of bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from lab.contracts import MANIFEST
from lab.evidence.files import record_of
from lab.evidence.manifest import Manifest
from lab.evidence.seal import sealed
from lab.verdict.model import Word
from suites.selftests.older import OlderRecord
from suites.selftests.table import OUTPUT, RECORD, TEST, row_for
from tests.unit.selftests.told import (
    CONSOLE,
    GOOD,
    OLD,
    captures,
    fields_of,
    incident,
    judged,
    older,
    verdict,
)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "PASS"),
        ({"status": 1}, "FAIL"),
        ({"skip": "no veth"}, "SKIP"),
        ({"built": "no header"}, "ERROR"),
        ({"tainted": {"receiver": (0, 1 << 9)}}, "FAIL"),
        ({"incidents": (incident("lost"),)}, "MISS"),
        ({"incidents": (incident("lost"),), "skip": "no veth"}, "SKIP"),
    ],
)
def test_a_record_of_the_first_format_has_the_words_it_had(fields: dict[str, Any], word: str) -> None:
    files = {OUTPUT: GOOD, CONSOLE: b"Linux version 6.12\n"}
    known = {name: record_of(data) for name, data in files.items()}
    record = OlderRecord.model_validate({**fields_of(**OLD, **fields), "files": known})
    files[RECORD] = record.model_dump_json(exclude={"digest", "host", "pair"}).encode()
    assert judged(files).word == word


@pytest.mark.parametrize("name", ["console.log", "telemetry.jsonl", "checkpoints.jsonl"])
def test_a_guest_without_all_of_its_captures_proves_nothing(name: str) -> None:
    for files in (captures(GOOD), older(GOOD)):
        del files[f"receiver/{name}"]
        assert judged(files).word is Word.ERROR
        record = RECORD if RECORD in files else MANIFEST
        told = json.loads(files[record])
        del told["files"][f"receiver/{name}"]  # nobody ever heard of it
        kind = OlderRecord if RECORD in files else Manifest
        files[record] = sealed(kind.model_validate(told))
        assert judged(files).word is Word.ERROR


def test_the_record_has_a_digest_and_bounds() -> None:
    files = older(b"TAP version 13\n1..1\nnot ok 1 a\n", status=1)
    files[RECORD] = files[RECORD].replace(b'"status": 1', b'"status": 0')
    assert judged(files).word is Word.ERROR
    for spoilt in ({"format": 3}, {"host": None}, {"drive": 1e308}):
        with pytest.raises(ValidationError):
            OlderRecord.model_validate(fields_of(**spoilt))


def test_what_is_told_of_the_test_is_vouched_for_and_understood() -> None:
    files = captures(b"hello\n", status=1)
    assert judged(files).word is Word.FAIL
    files[TEST] = files[TEST].replace(b'"status":1', b'"status":0')
    assert judged(files).word is Word.ERROR
    for data in (b"", b"{", b'{"colour": 2}'):
        files = captures(GOOD)
        files[TEST] = data
        told = {**json.loads(files[MANIFEST]), "files": {n: record_of(d) for n, d in files.items() if n != MANIFEST}}
        files[MANIFEST] = sealed(Manifest.model_validate(told))
        found = judged(files)
        assert found.word is Word.ERROR
        assert any(f.rule == "applies" and "test.json" in f.message for f in found.findings)


def test_a_report_is_no_pass_without_a_word_of_how_it_was_run() -> None:
    files = captures(GOOD)
    del files[TEST]
    assert judged(files).word is Word.ERROR


def test_nobody_saw_it_end_because_a_guest_flooded_a_channel() -> None:
    assert verdict(incidents=(incident("flood"),), status=None).word is Word.ERROR


def test_a_pair_has_two_guests_and_a_console_each() -> None:
    found = verdict(test=row_for("drivers/net/ping.py", None), nic="virtio")
    assert found.word is Word.ERROR
    assert any("sender/console.log: absent" in finding.message for finding in found.findings)


def test_what_does_not_apply_does_not_excuse_a_kernel_that_faulted() -> None:
    assert verdict(skip="no veth", console=b"[    1.000000] Kernel panic - not syncing: x\n").word is Word.FAIL
    assert verdict(skip="no veth", incidents=(incident("lost"),)).word is Word.MISS
    assert verdict(skip="no veth").word is Word.SKIP


def test_evidence_that_is_altered_or_silent_is_an_error() -> None:
    assert verdict(later=b"# more\n").word is Word.ERROR
    assert verdict(console=None).word is Word.ERROR
    assert verdict(b"TAP version 13\n1..1\nnot ok 1 a\n", later=b"# more\n", status=1).word is Word.ERROR
