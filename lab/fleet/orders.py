# SPDX-License-Identifier: GPL-2.0-only
"""Work orders: what one host is asked to do, with all that it needs named by content. PURE.

Runs that share a pair stay together. An order names no path but places in a cache, and nothing in it is executed.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.contracts import EMBEDDED
from lab.errors import BadInput
from lab.host.records import dump_record, parse_record
from lab.plan.matrix import Run
from lab.plan.nics import NICS
from lab.plan.session import IN_CACHE, SessionPlan, artefacts_in, dump, load
from lab.text.words import clipped

FORMAT = 1
MOST_RUNS = 10_000
HINT = "an order is made by `lab run --hosts`; docs/fleet.md says what it holds"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Accelerator = Literal["auto", "kvm", "tcg"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Artefact(_Value):
    """A file that guests are made of: its place in the cache of whoever made the order, and what it holds."""

    place: Annotated[str, Field(max_length=512)]
    sha256: Sha256
    size: Annotated[int, Field(ge=0, le=1 << 40)]


class WorkOrder(_Value):
    """Runs for one host. The same batch and attempt is the same order.

    lab_version tells people which lab made it; by lab_code another one knows whether it is the same.
    made is when it was made, ISO 8601: a host whose clock is behind that has a wrong clock.
    accelerator is what the user asked for, auto for what the host proves.
    plan is that of its runs, as lab.plan.session dumps it.
    """

    format: Literal[1] = 1
    batch: Name
    attempt: Annotated[int, Field(ge=1, le=10_000)]
    lab_version: Annotated[str, Field(max_length=200)]
    lab_code: Sha256
    made: Annotated[str, Field(max_length=40)]
    accelerator: Accelerator
    plan: dict[str, Any]
    artefacts: Annotated[list[Artefact], Field(max_length=1000)]

    @property
    def key(self) -> str:
        """A name for what comes of it."""
        return f"{self.batch}.{self.attempt}"


# -- made from a plan ------------------------------------------------------------------------------------------------


def batches(plan: SessionPlan) -> dict[str, tuple[Run, ...]]:
    """The runs of a plan by the batch that they are done in: those of one share a pair, and stay together."""
    found: dict[str, list[Run]] = {}
    for run in plan.runs:
        found.setdefault(f"{plan.name}.{run.batch:04}", []).append(run)
    return {name: tuple(runs) for name, runs in found.items()}


def kernels_of(plan: SessionPlan, runs: Sequence[Run]) -> set[str]:
    """Names of the kernels that runs need, references among them."""
    return {name for run in runs for name in (run.kernel, run.reference) if name}


def order_for(
    plan: SessionPlan,
    batch: str,
    runs: Sequence[Run],
    attempt: int,
    artefacts: Sequence[Artefact],
    *,
    made: str,
    lab: tuple[str, str],
    cache: Path,
) -> WorkOrder:
    """An order for some runs of a plan, which need these of its artefacts. `lab`: version and code."""
    needed = kernels_of(plan, runs)
    kernels = tuple(kernel for kernel in plan.kernels if kernel.name in needed)
    part = replace(
        plan,
        folder=Path(),
        sockets=Path(),
        connect=EMBEDDED,
        pairs=1,
        pairs_why="",
        host="",
        plugin=None,
        kernels=kernels,
        layers=tuple(layer for layer in plan.layers if any(run.layer == layer.key for run in runs)),
        runs=tuple(runs),
        accelerator_why="",
        notes=(),
    )
    plain = parse_record(dump(part, cache))
    places = {str(holder[key]).removeprefix(IN_CACHE) for holder, key in artefacts_in(plain) if holder[key]}
    asked: dict[str, Accelerator] = {"kvm": "kvm", "tcg": "tcg"}
    return WorkOrder(
        batch=batch,
        attempt=attempt,
        lab_version=lab[0],
        lab_code=lab[1],
        made=made,
        accelerator=asked.get(plan.accelerator, "auto"),
        plan=plain,
        artefacts=[artefact for artefact in artefacts if artefact.place in places],
    )


def dump_order(order: WorkOrder) -> bytes:
    """Its bytes, with a digest of themselves."""
    return dump_record(order.model_dump(mode="json"))


# -- read back -------------------------------------------------------------------------------------------------------


def parse_order(data: bytes, name: str, cases: Sequence[str]) -> WorkOrder:
    """An order from anywhere. `cases` are those that this lab knows. Raises BadInput with all that is wrong."""
    try:
        order = WorkOrder.model_validate_json(json.dumps(parse_record(data)))
    except ValidationError as exc:
        told = [_told(error["loc"], error["msg"]) for error in exc.errors(include_input=False, include_url=False)]
        raise BadInput([f"{name}: {problem}" for problem in told[:100]], hint=HINT) from exc
    except ValueError as exc:
        raise BadInput([f"{name}: {clipped(str(exc), 300)}"], hint=HINT) from exc
    problems = [f"{name}: {problem}" for problem in _problems(order, cases)]
    if problems:
        raise BadInput(problems[:100], hint=HINT)
    return order


def plan_of(order: WorkOrder, cache: Path) -> SessionPlan:
    """Its plan, with paths in this cache. Raises BadInput."""
    return load(dump_record(order.plan), cache)


def _told(where: Sequence[object], message: str) -> str:
    return clipped(f"{'.'.join(map(str, where))}: {message}" if where else message, 300)


def _problems(order: WorkOrder, cases: Sequence[str]) -> Iterator[str]:
    if _moment(order.made) is None:
        yield f"made: {order.made!r} is no time with a zone"
    for artefact in order.artefacts:
        if not is_place(artefact.place):
            yield f"artefacts: {clipped(artefact.place, 200)!r} is no place in a cache"
    try:
        plan = plan_of(order, Path("/cache"))
        named = list(_named(order.plan))
    except BadInput as exc:
        yield from (f"plan: {problem}" for problem in exc.problems)
        return
    except (KeyError, TypeError) as exc:
        yield f"plan: no {exc}"
        return
    yield from _of_files(order, plan, named)
    yield from _of_its_host(order, plan)
    yield from _of_runs(plan, cases)


def _named(plain: dict[str, Any]) -> Iterator[str]:
    yield from (str(holder[key]) for holder, key in artefacts_in(plain) if holder[key])


def _of_files(order: WorkOrder, plan: SessionPlan, named: Sequence[str]) -> Iterator[str]:
    """What it names on disk: artefacts in a cache, each described, and nothing else."""
    known: Mapping[str, str] = {artefact.place: artefact.sha256 for artefact in order.artefacts}
    for name in named:
        place = name.removeprefix(IN_CACHE)
        if not name.startswith(IN_CACHE) or not is_place(place):
            yield f"plan: {clipped(name, 200)!r} is no place in a cache"
        elif place not in known:
            yield f"plan: {clipped(place, 200)!r} is none of the artefacts"
    wanted = {str(image.path): image.sha256 for image in plan.images}
    for kernel in plan.kernels:
        wanted |= {str(kernel.boot): kernel.sha256, str(kernel.initrd): kernel.initrd_sha256}
    for path, digest in wanted.items():
        place = path.removeprefix("/cache/")
        if place in known and known[place] != digest:
            yield f"plan: {clipped(place, 200)!r} has another sha256 there than among the artefacts"


def _of_its_host(order: WorkOrder, plan: SessionPlan) -> Iterator[str]:
    """What is for the host to say."""
    for field in ("folder", "sockets"):
        if order.plan.get(field) not in (".", ""):
            yield f"plan: {field}: an order says nothing about where its host keeps things"
    if plan.connect != EMBEDDED:
        yield f"plan: connect: {clipped(plan.connect, 100)!r}: a host takes guests of its own only"
    if plan.plugin is not None:
        yield "plan: plugin: a host builds its own"


def _of_runs(plan: SessionPlan, cases: Sequence[str]) -> Iterator[str]:
    kernels, ids = {kernel.name for kernel in plan.kernels}, [run.id for run in plan.runs]
    if not 1 <= len(ids) <= MOST_RUNS:
        yield f"plan: runs: {len(ids)}, where 1 to {MOST_RUNS} make sense"
    if len(set(ids)) < len(ids):
        yield "plan: runs: one of them is there twice"
    for run in plan.runs:
        where = f"plan: runs: {clipped(run.case, 60)!r}"
        if run.case not in cases:
            yield f"{where}: this lab has no such case"
        if run.nic not in NICS:
            yield f"{where}: no NIC profile {clipped(run.nic, 60)!r}"
        if run.session != plan.name:
            yield f"{where}: a run of another session, {clipped(run.session, 60)!r}"
        for kernel in filter(None, (run.kernel, run.reference)):
            if kernel not in kernels:
                yield f"{where}: kernel {clipped(kernel, 60)!r} is not in the plan"


def is_place(text: str) -> bool:
    """Whether that is the place of a file inside a cache, and leads nowhere else."""
    parts = PurePosixPath(text).parts
    return (
        bool(parts)
        and str(PurePosixPath(text)) == text
        and text.isprintable()
        and not text.startswith("/")
        and not any(part in (".", "..") or part.startswith(".") for part in parts)
    )


def _moment(text: str) -> datetime.datetime | None:
    try:
        told = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo else None


def seconds_behind(order: WorkOrder, now: datetime.datetime) -> float:
    """By how much a clock is behind the moment when an order was made; below zero where it is not."""
    made = _moment(order.made)
    return (made - now).total_seconds() if made else 0.0
