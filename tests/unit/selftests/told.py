# SPDX-License-Identifier: GPL-2.0-only
"""Bundles of selftests, as they are written and as they were, and how they are judged."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.contracts import MANIFEST
from lab.evidence.bundle import parse
from lab.evidence.files import record_of
from lab.evidence.manifest import FORMAT, Incident, Manifest
from lab.evidence.seal import sealed
from lab.experiments.found import case_named
from lab.report.model import RunResult
from lab.verdict.decide import judge
from lab.verdict.model import Verdict
from suites.selftests.older import OlderRecord, parse_older
from suites.selftests.record import TestRecord
from suites.selftests.table import OUTPUT, RECORD, SELFTEST_ROWS, TEST, Selftest, row_for
from tests.unit.verdict.builder import story

CORPUS = Path(__file__).parents[2] / "corpus" / "ktap"
CONSOLE = "receiver/console.log"
GOOD = b"TAP version 13\n1..2\nok 1 a\nok 2 b\n"
PLAIN = row_for("net/plain.sh", None)
TCP_MMAP = SELFTEST_ROWS["net/tcp_mmap"]
MSG_ZEROCOPY = SELFTEST_ROWS["net/msg_zerocopy.sh"]
RECEIVED = b"received 1316.12 MB (99.995 % mmap'ed) in 19.8571 s, 0.555992 Gbit\n"
TRANSFERS = b"tx=2306 (143 MB) txc=0 zc=n\nrx=868 (143 MB)\ntx=2060 (128 MB) txc=2060 zc=n\nrx=778 (128 MB)\nok\n" * 4


HOST = {
    "qemu": "7.2.0",
    "libvirt": "9.0.0",
    "accelerator": "tcg",
    "connection": "embed",
    "machine": "q35",
    "image_sha256": "0" * 64,
}
PAIR = {"id": "p0", "shape": "standard", "receiver_mib": 1024, "sender_mib": 512, "runs_before": 0, "cmdline": "quiet"}
OLD: dict[str, Any] = {"format": 1, "host": None, "pair": None, "drive": None}
"""What a record of the first format lacks."""


@functools.cache
def ground() -> tuple[dict[str, bytes], float]:
    """What a receiver in which nothing was amiss left behind, and how long the host saw it at work."""
    told = story("hold")
    names = ("console.log", "telemetry.jsonl", "checkpoints.jsonl")
    files = told.files()
    return {f"receiver/{n}": files[f"receiver/{n}"] for n in names}, told.manifest["seconds"]["drive"]


def fields_of(test: Selftest = PLAIN, **fields: object) -> dict[str, Any]:
    """What is told of a test that ran to its end; `fields` are those that differ."""
    kernel = {"name": "k", "release": "6.12.1", "design": "stock", "sha256": "", "config_sha256": ""}
    return {
        "test": test.name,
        "kernel": kernel,
        "host": HOST,
        "pair": PAIR,
        "drive": ground()[1],
        "nic": "loopback",
        "accelerator": "tcg",
        "source": "/src",
        "source_version": "6.12.1",
        "floor": 0.5,
        "argv": ("true",),
        "status": 0,
        "started": "",
        "seconds": 1.0,
        "reproduce": "",
        **fields,
    }


def files_of(output: bytes, console: bytes | None) -> dict[str, bytes]:
    """The console has these lines at its end; None: it is empty."""
    files = {OUTPUT: output, **ground()[0]}
    files[CONSOLE] = b"" if console is None else files[CONSOLE] + console
    return files


def captures(output: bytes, test: Selftest = PLAIN, console: bytes | None = b"", **fields: object) -> dict[str, bytes]:
    """The files of a bundle with this output, as it is written today."""
    told, files = fields_of(test, **fields), files_of(output, console)
    record = {name: told[name] for name in TestRecord.model_fields if name in told}
    files[TEST] = TestRecord(**record).model_dump_json().encode()
    told_there = Manifest.model_fields.keys() - TestRecord.model_fields.keys() - {"seconds"}
    manifest = Manifest.model_validate(
        {
            "format": FORMAT,
            "run": test.id,
            "case": test.name,
            "repeat": 0,
            "predicted": "PASS",
            "mtu": 0,
            "clients": (),
            "incidents": (),
            "seconds": {"provision": 0.0, "drive": told["drive"], "collect": 0.0},
            "lab_version": "1",
            "files": {name: record_of(data) for name, data in files.items()},
            **{name: value for name, value in told.items() if name in told_there},
        }
    )
    return {**files, MANIFEST: sealed(manifest)}


def older(output: bytes, test: Selftest = PLAIN, console: bytes | None = b"", **fields: object) -> dict[str, bytes]:
    """The same as it was written when selftests had a life of their own."""
    files = files_of(output, console)
    told = {"files": {name: record_of(data) for name, data in files.items()}, **fields_of(test, **fields)}
    files[RECORD] = sealed(OlderRecord.model_validate(told))
    return files


def judged(files: Mapping[str, bytes]) -> Verdict:
    """The verdict on a bundle of either kind."""
    if RECORD in files:
        return judge(*parse_older(files))
    evidence = parse(files)
    return judge(evidence, case_named(evidence.manifest.case))


def verdict(
    output: bytes = GOOD, test: Selftest = PLAIN, console: bytes | None = b"", later: bytes = b"", **fields: object
) -> Verdict:
    """The verdict on a bundle with this output, to which `later` was added; `fields` are those of its record.

    The two kinds of bundles get the same word. Only the older tells of the taint.
    """
    before = older(output, test, console, **fields)
    before[OUTPUT] += later
    told = judged(before)
    if "tainted" in fields:
        return told
    files = captures(output, test, console, **fields)
    files[OUTPUT] += later
    today = judged(files)
    assert today.word is told.word, (today.findings, told.findings)
    assert today.parts == told.parts
    return today


def result(output: bytes) -> RunResult:
    return RunResult(parse(captures(output)).manifest, verdict(output), "b")


def incident(kind: str) -> Incident:
    return Incident.model_validate({"kind": kind, "guest": "receiver", "detail": "d", "t": ""})
