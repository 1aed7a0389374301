# SPDX-License-Identifier: GPL-2.0-only
"""Suite files: suites/NAME.toml says which kernels, NIC profiles and cases make a suite."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import BadInput
from lab.spec.request import MAX_REPEAT


class SuiteSpec(BaseModel):
    """One suite. `kernels` are names as `lab run --kernel` takes them; every list needs at least one entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    kernels: tuple[str, ...] = Field(min_length=1)
    nics: tuple[str, ...] = Field(min_length=1)
    cases: tuple[str, ...] = Field(min_length=1)
    repeat: int = Field(default=1, ge=1, le=MAX_REPEAT)


def load_suite(text: str, path: str) -> SuiteSpec:
    """Parse a suite file. Raises BadInput that lists every problem with file and key."""
    try:
        return SuiteSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise BadInput([f"{path}: not TOML: {exc}"]) from exc
    except ValidationError as exc:
        problems = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise BadInput(problems, hint=f"the keys are {', '.join(SuiteSpec.model_fields)}") from exc


def unknown(kind: str, names: Iterable[str], known: Sequence[str]) -> list[str]:
    """One sentence for each name that is not known, with the nearest known ones."""
    return [
        f"unknown {kind} {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
        for name in names
        if name not in known
        for near in [difflib.get_close_matches(name, known, n=2)]
    ]
