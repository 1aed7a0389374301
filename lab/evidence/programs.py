# SPDX-License-Identifier: GPL-2.0-only
"""Output of zc-client and zc-sender: bytes in, events out."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import ConfigDict, Field, StrictFloat, StrictInt, StrictStr, TypeAdapter

from lab.evidence.bounds import NUMBER, SECONDS
from lab.evidence.lines import cut
from lab.evidence.model import ClientEvent, ProgramLog
from lab.evidence.names import COUNTED

_Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Number = Annotated[StrictInt, Field(ge=-NUMBER, le=NUMBER)]
_Name = Annotated[str, Field(max_length=256)]
_Fields = Annotated[dict[_Name, _Number | _Finite | StrictStr | None], Field(max_length=128)]
_LINE: TypeAdapter[dict[str, int | float | str | None]] = TypeAdapter(_Fields, config=ConfigDict(strict=True))

COUNTERS = frozenset(
    {"delivered", "mapped", "copied", "mapped_now", "pinned", "anon", "queued", "distinct", "held", "resident"}
)
"""Bytes, never below zero. A line that carries one wrongly is refused whole: half a line is no evidence."""


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


def mapped_share(log: ProgramLog) -> float:
    """Mapped over delivered bytes at a client's last counters, 0 to 1; 0 where nothing was delivered."""
    last = log.last(*COUNTED)
    return last.count("mapped") / last.count("delivered") if last and last.count("delivered") else 0.0


def _event(line: bytes, number: int) -> ClientEvent:
    """Raises ValueError for anything but an object with a time, an event and plain values."""
    said = _LINE.validate_json(line)
    fields = {key: value for key, value in said.items() if value is not None}  # null: an option not given
    t, event = fields.pop("t", None), fields.pop("event", None)
    if not isinstance(t, int | float) or not 0 <= t <= SECONDS or not isinstance(event, str):
        raise ValueError("a line needs `t` and `event`")
    for key in COUNTERS & fields.keys():
        value = fields[key]
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"`{key}` is a count of bytes")
    return ClientEvent(float(t), event, fields, number)
