# SPDX-License-Identifier: GPL-2.0-only
"""timing.json, where the wall time of a run went: named spans of the host's monotonic clock, on lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

MOST_SPANS = 10_000
MOST_SECONDS = 1e7
"""Four months: a pair may have been made ready long before its run."""

Seconds = Annotated[float, Field(ge=-MOST_SECONDS, le=MOST_SECONDS, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=256)]
STRICT = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True)
class Span:
    """Something that took from `began` to `ended`, seconds from the start of the run; negative: before it.

    lane    who it kept busy: `case` (the run itself, step by step), `pair` (its guests as one), `receiver`, `sender`,
            `reference` (the steps of the pair with the reference kernel)
    detail  what tells it from others of its name, e.g. a client
    work    the guests did in it what the case asks: traffic, keeping, letting go, counting, settling. What is not said
            to be that is overhead of the lab
    """

    __pydantic_config__ = STRICT

    name: Name
    lane: Name
    began: Seconds
    ended: Seconds
    detail: Name = ""
    work: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Timing:
    """Where a run's time went. `seconds` is its wall time; spans are in the order in which they began."""

    __pydantic_config__ = STRICT

    seconds: Seconds
    spans: Annotated[tuple[Span, ...], Field(max_length=MOST_SPANS)]

    def lane(self, name: str) -> tuple[Span, ...]:
        return tuple(span for span in self.spans if span.lane == name)


_ADAPTER: TypeAdapter[Timing] = TypeAdapter(Timing)


def dump_timing(timing: Timing) -> bytes:
    """The bytes of timing.json."""
    return _ADAPTER.dump_json(timing, indent=1)


def parse_timing(data: bytes) -> Timing | None:
    """The record back; None when it is not what it should be, or a span ends before it begins."""
    try:
        timing = _ADAPTER.validate_json(data)
    except ValidationError:
        return None
    backwards = timing.seconds < 0 or any(span.ended < span.began for span in timing.spans)
    return None if backwards else timing


def out_of_bounds(data: bytes) -> str:
    """Which bound of numbers, lengths or spans the record exceeds, as words; "" when none, or when it is no record."""
    try:
        _ADAPTER.validate_json(data)
    except ValidationError as refused:
        beyond = [e for e in refused.errors(include_input=False, include_url=False) if e["type"] in _BEYOND]
        return f"{'.'.join(map(str, beyond[0]['loc']))}: {beyond[0]['msg']}" if beyond else ""
    return ""


_BEYOND = frozenset({"finite_number", "greater_than_equal", "less_than_equal", "string_too_long", "too_long"})
