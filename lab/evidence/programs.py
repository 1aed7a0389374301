# SPDX-License-Identifier: GPL-2.0-only
"""Output of clients and their peers: bytes in, events out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated

from pydantic import ConfigDict, Field, StrictFloat, StrictInt, StrictStr, TypeAdapter

from lab.evidence.bounds import NUMBER, SECONDS
from lab.evidence.lines import cut
from lab.evidence.model import ClientEvent, ProgramLog
from lab.evidence.names import COUNTED
from lab.plan.case import Counter, Preflight

_Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Number = Annotated[StrictInt, Field(ge=-NUMBER, le=NUMBER)]
_Name = Annotated[str, Field(max_length=256)]
_Fields = Annotated[dict[_Name, _Number | _Finite | StrictStr | None], Field(max_length=128)]
_LINE: TypeAdapter[dict[str, int | float | str | None]] = TypeAdapter(_Fields, config=ConfigDict(strict=True))


def parse_program(name: str, path: str, data: bytes) -> ProgramLog:
    """One program's JSON Lines. `truncated` when a line was refused, was cut, or time ran backwards."""
    lines = cut(data)
    events: list[ClientEvent] = []
    truncated = bool(lines.bound or lines.rest.strip())
    for number, line in lines:
        try:
            events.append(_event(line, number))
        except ValueError:  # pydantic's ValidationError is one
            truncated = True
    backwards = any(b.t < a.t for a, b in pairwise(events))
    return ProgramLog(name, path, tuple(events), truncated or backwards)


def counting(log: ProgramLog, counters: frozenset[Counter]) -> ProgramLog:
    """The log without lines in which one of these is no number of bytes, whole and never below zero.

    Such a line is refused whole: half a line is no evidence.
    """
    sound = tuple(e for e in log.events if all(_is_count(e.fields[key]) for key in counters & e.fields.keys()))
    return log if len(sound) == len(log.events) else replace(log, events=sound, truncated=True)


def _is_count(value: float | str) -> bool:
    return isinstance(value, int) and value >= 0


def share(log: ProgramLog, preflight: Preflight) -> float:
    """The share that a preflight asks for at the client's last counters, 0 to 1; 0 where nothing was moved."""
    last = log.last(*COUNTED)
    whole = last.count(preflight.whole) if last else 0
    return last.count(preflight.part) / whole if last and whole else 0.0


def _event(line: bytes, number: int) -> ClientEvent:
    """Raises ValueError for anything but an object with a time, an event and plain values."""
    said = _LINE.validate_json(line)
    fields = {key: value for key, value in said.items() if value is not None}  # null: an option not given
    t, event = fields.pop("t", None), fields.pop("event", None)
    if not isinstance(t, int | float) or not 0 <= t <= SECONDS or not isinstance(event, str):
        raise ValueError("a line needs `t` and `event`")
    return ClientEvent(float(t), event, fields, number)
