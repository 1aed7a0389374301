# SPDX-License-Identifier: GPL-2.0-only
"""One JSON object a line and run, for other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict  # which pydantic wants below Python 3.12

from lab.report.model import RunResult, Session
from lab.report.parts import parts_record

Whole = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class FindingRecord(TypedDict):
    """A finding: its rule, what that says, and where that stands in the bundle."""

    rule: str
    word: str
    message: str
    pointer: str


class LedgerRecord(TypedDict):
    """The ledger's last line, bytes; null where there is none."""

    held: int | None
    charged: int | None
    escape: int | None
    gone: int | None
    limit: Whole | None


class OomRecord(TypedDict):
    """How memory ended."""

    outcome: str
    victims: list[str]


class SecondsRecord(TypedDict):
    """Wall time by stage."""

    provision: Seconds
    drive: Seconds
    collect: Seconds


class Record(TypedDict):
    """One run. An experiment may add keys of its own."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    run: str
    session: str
    started: str
    kernel: str
    kernel_release: str
    kernel_sha256: str
    nic: str
    case: str
    repeat: Whole
    verdict: str
    predicted: str
    as_predicted: bool
    findings: list[FindingRecord]
    known: list[str]
    ledger: LedgerRecord
    cost: dict[str, Any] | None
    oom: OomRecord
    host: str
    lab_version: str
    accelerator: str
    accelerator_why: str
    seconds: SecondsRecord
    parts: NotRequired[list[Any] | dict[str, Any]]
    bundle: str


def render(session: Session, root: PurePosixPath) -> str:
    """All runs as JSON Lines. `root` is the absolute directory that the bundles' paths are relative to."""
    return "".join(json.dumps(as_record(result, root), allow_nan=False) + "\n" for result in session.results)


def as_record(result: RunResult, root: PurePosixPath) -> dict[str, Any]:
    """One run as plain values: sizes in bytes, times in seconds, null where there is nothing."""
    manifest, verdict = result.manifest, result.verdict
    return {
        **verdict.told,
        "run": manifest.run,
        "session": manifest.session,
        "started": manifest.started,
        "kernel": manifest.kernel.name,
        "kernel_release": manifest.kernel.release,
        "kernel_sha256": manifest.kernel.sha256,
        "nic": manifest.nic,
        "case": manifest.case,
        "repeat": manifest.repeat,
        "verdict": verdict.word.value,
        "predicted": result.predicted,
        "as_predicted": result.as_predicted,
        "findings": [
            {"rule": f.rule, "word": f.word.value, "message": f.message, "pointer": f.pointer} for f in verdict.findings
        ],
        "known": list(result.known),
        "ledger": _ledger(result),
        "cost": _finite(asdict(verdict.cost)) if verdict.cost else None,
        "oom": {"outcome": verdict.oom.outcome.value, "victims": list(verdict.oom.victims)},
        "host": manifest.host.node,
        "lab_version": manifest.lab_version,
        "accelerator": manifest.host.accelerator,
        "accelerator_why": manifest.host.accelerator_why,
        "seconds": manifest.seconds.model_dump(),
        **({"parts": parts_record(result)} if verdict.parts else {}),
        "bundle": str(root / result.bundle),
    }


def _ledger(result: RunResult) -> dict[str, int | None]:
    ledger = result.verdict.ledger
    line = ledger.last
    names = ("held", "charged", "escape", "gone")
    return {**{name: getattr(line, name) if line else None for name in names}, "limit": ledger.limit}


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: an interval without an end has none."""
    return {
        key: _finite(value) if isinstance(value, dict) else None if value in (math.inf, -math.inf) else value
        for key, value in values.items()
    }
