# SPDX-License-Identifier: GPL-2.0-only
"""verdict.json: a verdict as it was decided, to be read back by who knows that nothing has changed since."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.report.jsonl import as_record
from lab.report.model import RunResult
from lab.verdict.model import Verdict

KEY = "judgement"


class Judgement(BaseModel):
    """A verdict, and what it is a function of.

    manifest  sha256 of the manifest.json that was judged, which vouches for all other evidence
    source    hash of the code that judged
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    manifest: str
    source: str
    verdict: Verdict


def dump_judgement(result: RunResult, root: PurePosixPath, manifest: str, source: str) -> bytes:
    """The bytes of verdict.json: what `lab judge --json` says, and the whole verdict under a key of its own."""
    judgement = Judgement(manifest=manifest, source=source, verdict=result.verdict)
    told = as_record(result, root) | {KEY: json.loads(judgement.model_dump_json())}
    return json.dumps(told, indent=1, allow_nan=False).encode()


def load_judgement(data: bytes, manifest: str, source: str) -> Verdict | None:
    """The verdict back; None when it is not one on that manifest by that code."""
    try:
        judgement = Judgement.model_validate(json.loads(data)[KEY])
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None
    return judgement.verdict if (judgement.manifest, judgement.source) == (manifest, source) else None
