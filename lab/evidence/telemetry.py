# SPDX-License-Identifier: GPL-2.0-only
"""telemetry.jsonl and checkpoints.jsonl: bytes in, samples out. A line that is not what it should be is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lab.evidence.bounds import NUMBER, SECONDS
from lab.evidence.lines import cut
from lab.evidence.model import CgroupSample, Kmsg, PageCounts, PagePool, Sample

Count = Annotated[int, Field(ge=0, le=NUMBER)]
Seconds = Annotated[float, Field(ge=0, le=SECONDS, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=256)]
PoolId = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
Counts = Annotated[dict[Name, Count], Field(max_length=512)]
MOST_CGROUPS = 512
MOST_POOLS = 512

MEMINFO_NEEDED = frozenset({"MemTotal", "MemFree", "Buffers", "Cached", "AnonPages", "Slab"})
"""Without these free memory cannot be explained, so a line that lacks one is no sample."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Cgroup(_Strict):
    ino: Count
    current: Count
    peak: Annotated[int, Field(le=NUMBER)] = -1
    max: Annotated[int, Field(le=NUMBER)] = -1
    procs: Count
    events: Counts
    stat: Counts
    above: Name = ""

    def record(self) -> CgroupSample:
        peak = None if self.peak < 0 else self.peak
        limit = None if self.max < 0 else self.max
        return CgroupSample(self.ino, self.current, peak, limit, self.procs, self.events, self.stat, self.above)


class _Pages(_Strict):
    plain: Count
    free: Count
    mapped_uncharged: Count
    offline: Count | None = None
    charged: Counts

    @field_validator("charged")
    @classmethod
    def _inodes(cls, value: dict[str, int]) -> dict[str, int]:
        if not all(key.isascii() and key.isdigit() for key in value):
            raise ValueError("keys of `charged` are inode numbers")
        return value

    def record(self) -> PageCounts:
        charged = {int(ino): pages for ino, pages in self.charged.items()}
        return PageCounts(self.plain, self.free, self.mapped_uncharged, charged, self.offline)


class _Kmsg(_Strict):
    canary: Annotated[str, Field(pattern=r"^[0-9a-z-]{1,64}$")]
    seq: Count
    shown: Annotated[int, Field(ge=-1)]

    def record(self) -> Kmsg:
        return Kmsg(self.canary, self.seq, None if self.shown < 0 else self.shown)


class _Pool(_Strict):
    netdev: Annotated[str, Field(max_length=15)] = ""
    counts: Counts


class _Line(_Strict):
    t: Seconds
    seq: Count = 0
    meminfo: Counts
    vmstat: Counts
    net: Counts
    pcp_pages: Count
    tainted: Count | None = None
    dying: Count
    cg: Annotated[dict[Name, _Cgroup], Field(max_length=MOST_CGROUPS)]

    @field_validator("meminfo")
    @classmethod
    def _enough(cls, value: dict[str, int]) -> dict[str, int]:
        if lacking := MEMINFO_NEEDED - value.keys():
            raise ValueError(f"meminfo lacks {', '.join(sorted(lacking))}")
        return value


class _SampleLine(_Line):
    seq: Count


class _CheckpointLine(_Line):
    event: Literal["checkpoint"]
    name: Annotated[Name, Field(min_length=1)]
    pages: _Pages | None = None
    parent: _Cgroup | None = None
    kmsg: _Kmsg | None = None
    pools: Annotated[dict[PoolId, _Pool], Field(max_length=MOST_POOLS)] | None = None
    pools_left_out: Count = 0


@dataclass(frozen=True)
class Stream:
    """Parsed lines; `truncated` when a line was refused or time or numbering ran backwards."""

    samples: tuple[Sample, ...]
    truncated: bool


def parse_telemetry(data: bytes, role: str = "receiver") -> Stream:
    """The telemetry stream. An unfinished last line is where the capture was cut, and is dropped in silence.

    What that loses is at most one sample; silence after the last one is for the rules to judge.
    """
    samples: list[Sample] = []
    lines = cut(data)
    truncated = bool(lines.bound)
    for number, line in lines:
        try:
            samples.append(_sample(_SampleLine.model_validate_json(line), number, role))
        except ValidationError:
            truncated = True
    backwards = any(b.seq <= a.seq or b.t < a.t for a, b in pairwise(samples))
    return Stream(tuple(samples), truncated or backwards)


def parse_checkpoints(data: bytes, role: str = "receiver") -> Stream:
    """The checkpoints; here an unfinished last line is a loss, for each was asked for by name."""
    lines = cut(data)
    samples: list[Sample] = []
    truncated = bool(lines.bound or lines.rest.strip())
    for number, line in lines:
        try:
            samples.append(_checkpoint(_CheckpointLine.model_validate_json(line), number, role))
        except ValidationError:
            truncated = True
    names = [s.name for s in samples]
    backwards = any(b.t < a.t for a, b in pairwise(samples))
    return Stream(tuple(samples), truncated or backwards or len(set(names)) < len(names))


def longest_gap(times: Sequence[float]) -> float:
    """The longest silence between neighbours, in seconds; 0 for fewer than two."""
    return max((b - a for a, b in pairwise(times)), default=0.0)


def lost(samples: Sequence[Sample]) -> int:
    """How many sequence numbers are missing between the first and the last sample."""
    return sum(max(0, b.seq - a.seq - 1) for a, b in pairwise(samples))


def _sample(line: _Line, number: int, role: str) -> Sample:
    cgroups = {name: group.record() for name, group in line.cg.items()}
    return Sample(
        line.t,
        line.seq,
        line.meminfo,
        line.vmstat,
        line.net,
        line.pcp_pages,
        line.dying,
        cgroups,
        line=number,
        tainted=line.tainted,
        role=role,
    )


def _checkpoint(line: _CheckpointLine, number: int, role: str) -> Sample:
    return replace(
        _sample(line, number, role),
        name=line.name,
        pages=line.pages.record() if line.pages else None,
        parent=line.parent.record() if line.parent else None,
        kmsg=line.kmsg.record() if line.kmsg else None,
        pools=None if line.pools is None else {int(n): PagePool(p.netdev, p.counts) for n, p in line.pools.items()},
        pools_left_out=line.pools_left_out,
    )
