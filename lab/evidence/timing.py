"""timing.json, where the wall time of a run went: named spans of the host's monotonic clock, on lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Seconds = Annotated[float, Field(allow_inf_nan=False)]
STRICT = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True)
class Span:
    """Something that took from `began` to `ended`, seconds from the start of the run; negative: before it.

    lane    who it kept busy: `case` (the run itself, step by step), `pair` (its guests as one), `receiver`, `sender`,
            `reference` (the steps of the pair with the reference kernel)
    detail  what tells it from others of its name, e.g. a client
    """

    __pydantic_config__ = STRICT

    name: str
    lane: str
    began: Seconds
    ended: Seconds
    detail: str = ""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Timing:
    """Where a run's time went. `seconds` is its wall time; spans are in the order in which they began."""

    __pydantic_config__ = STRICT

    seconds: Seconds
    spans: tuple[Span, ...]

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
