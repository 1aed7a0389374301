# SPDX-License-Identifier: GPL-2.0-only
"""The digest by which a manifest is known to be the one that was written.

It guards against damage and thoughtless edits, not against forgery: anybody can make a new one as well as we can.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel

KEY = "digest"


class Sealed(Protocol):
    """A manifest, or the record of a selftest."""

    @property
    def format(self) -> int: ...

    @property
    def digest(self) -> str: ...


def digest_of(fields: Mapping[str, Any]) -> str:
    """sha256 over the canonical JSON of everything but the digest: sorted keys, no blanks, ASCII."""
    rest = {key: value for key, value in fields.items() if key != KEY}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(manifest: BaseModel) -> bytes:
    """The bytes of manifest.json, or of selftest.json."""
    fields = manifest.model_dump(mode="json")
    return json.dumps(fields | {KEY: digest_of(fields)}, indent=1).encode()


def is_as_written(manifest: Sealed, data: bytes) -> bool:
    """Whether a manifest that was read from these bytes is the one that was written. Of format 1 nobody knows."""
    if manifest.format == 1 and not manifest.digest:
        return True
    return manifest.digest == digest_of(json.loads(data))
