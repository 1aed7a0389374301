# SPDX-License-Identifier: GPL-2.0-only
"""Measures variants in interleaved rounds, and tells what came out as one flat record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.stats import Estimate, Round, estimate, orders, ratio
from lab.contracts import Progress
from lab.errors import BadInput

Measure = Callable[[], float | Round]
"""Do it once; returns the value, or several by what tells them apart: `{"1": 180.0}` of variant cold is `cold_1`.

What has to be put up before or torn down after is inside, and not in the value.
"""


@dataclass(frozen=True)
class Ratio:
    """`name` is its key in the record; `over` and `under` are variants."""

    name: str
    over: str
    under: str


@dataclass(frozen=True)
class Outcome:
    """What a bench measured.

    unit    of all values: s, MiB, MiB_per_s, per_min, share
    title   what the picture says above the values
    facts   flat keys and plain values that belong to this bench: versions, kernels, sizes, counts
    problems  what was promised and not kept; the command then ends with 1
    """

    title: str
    unit: str
    rounds: Sequence[Round]
    ratios: Sequence[Ratio] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def variants(self) -> tuple[str, ...]:
        """In the order they were named first."""
        return tuple(dict.fromkeys(name for r in self.rounds for name in r))


def interleaved(variants: Mapping[str, Measure], repeats: int, progress: Progress, *, warm_up: int = 1) -> list[Round]:
    """`repeats` rounds of every variant, after `warm_up` rounds that do not count. Raises what a variant raises."""
    found: list[Round] = []
    for number, order in enumerate(orders(tuple(variants), warm_up + repeats)):
        name = f"round {number - warm_up + 1} of {repeats}" if number >= warm_up else "warming up"
        measured: Round = {}
        for variant in order:
            progress(f"{name}, {variant}")
            measured |= _named(variant, variants[variant]())
        if number >= warm_up:
            found.append({key: measured[key] for key in sorted(measured, key=lambda k: _place(k, variants))})
            progress(f"{name}: " + ", ".join(f"{k} {v:.3g}" for k, v in found[-1].items()))
    return found


def _named(variant: str, value: float | Round) -> Round:
    return {f"{variant}_{k}": v for k, v in value.items()} if isinstance(value, dict) else {variant: value}


def _place(key: str, variants: Mapping[str, Measure]) -> int:
    """Which variant a value belongs to: the one with the longest name that it begins with."""
    names = list(variants)
    return names.index(max((n for n in names if key == n or key.startswith(f"{n}_")), key=len))


def record(name: str, outcome: Outcome, context: Mapping[str, Any]) -> dict[str, Any]:
    """One flat JSON object: each ratio and each median with its spread and n beside it, then where, when and how.

    `context` is that of `bench.machine`; `rounds` at the end holds the raw values.
    """
    figures = {r.name: ratio(outcome.rounds, r.over, r.under) for r in outcome.ratios}
    figures |= {f"{v}_{outcome.unit}": estimate(outcome.rounds, v) for v in outcome.variants}
    told: dict[str, Any] = {"bench": name, "title": outcome.title, "unit": outcome.unit}
    for key, figure in figures.items():
        told |= _flat(key, figure)
    told |= {**outcome.facts, **context, "problems": list(outcome.problems)}
    return {**told, "rounds": [{k: round(v, 4) for k, v in r.items()} for r in outcome.rounds]}


def _flat(key: str, figure: Estimate) -> dict[str, Any]:
    spread = [round(edge, 4) for edge in figure.spread] if figure.spread else None
    return {key: round(figure.value, 4), f"{key}_spread": spread, f"{key}_n": figure.n}


SAME = ("unit", "cpus", "cpu_model", "host_kernel", "qemu", "libvirt", "accelerator")
"""What must agree before rounds of two calls may be put together; what a bench has of its own comes on top."""


def rounds_before(old: Mapping[str, Any], told: Mapping[str, Any], own: Sequence[str]) -> list[Round]:
    """The rounds of an earlier record, to which this call adds. Raises BadInput where it was another thing."""
    wrong = [f"{k} was {old.get(k)!r}, now {told.get(k)!r}" for k in (*SAME, *own) if old.get(k) != told.get(k)]
    if wrong:
        raise BadInput(wrong, hint="leave --more away: the earlier rounds cannot be continued")
    return list(old["rounds"])
