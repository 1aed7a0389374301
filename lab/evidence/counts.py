# SPDX-License-Identifier: GPL-2.0-only
"""instructions.jsonl, what images/qemu/lab-insn.c writes: bytes in, counts out."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.evidence.bounds import NUMBER, SECONDS
from lab.evidence.lines import cut
from lab.evidence.model import Count


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    mark: Literal[1, 2]
    instructions: Annotated[int, Field(ge=0, le=NUMBER)]
    t: Annotated[float, Field(ge=0, le=SECONDS, allow_inf_nan=False)]


def parse_counts(data: bytes) -> tuple[Count, ...] | None:
    """The counts in order; None when a line is cut or refused, or when count or time runs backwards."""
    lines = cut(data)
    try:
        told = [(_Line.model_validate_json(line), number) for number, line in lines]
    except ValidationError:
        return None
    counts = tuple(Count(line.mark, line.instructions, line.t, number) for line, number in told)
    backwards = any(b.instructions < a.instructions or b.t < a.t for a, b in pairwise(counts))
    return None if lines.rest or lines.bound or backwards else counts
