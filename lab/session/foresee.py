# SPDX-License-Identifier: GPL-2.0-only
"""What a session would do: its runs, how many at once, how long. Nothing is fetched, built, booted or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.experiments.found import case_named
from lab.host.size import host_size
from lab.kernels.catalogue import Kernel
from lab.kernels.recipe import Recipe
from lab.kernels.stock import CatalogueKernel
from lab.plan.learnt import kernel_kind, way_of
from lab.plan.matrix import Run, expand
from lab.plan.names import FAMILIES
from lab.plan.order import PAIR_SECONDS, running_order, seconds_left
from lab.plan.pairs import Choice, choose
from lab.session.learnt import load_learnt
from lab.session.prepare import check, host_shape, most_pairs
from lab.verdict.predict import foretold

if TYPE_CHECKING:
    from lab.spec.request import SessionRequest

ACCELERATORS = ("tcg", "kvm")


@dataclass(frozen=True)
class Foreseen:
    """runs        in the order in which they would be run, with the seconds that each is expected to take
    predicted   the word expected of each, by its id
    kernels     what would be made, and how: "there", "fetched" or "built"
    seconds     until all is done, without what has to be made first
    way         the accelerator that was reckoned with; nobody has proved it
    measured    how many of the runs were measured on this host before; of the others the case says how long they take
    """

    runs: tuple[Run, ...]
    predicted: dict[str, str]
    kernels: tuple[tuple[str, str], ...]
    pairs: Choice
    seconds: float
    way: str
    measured: int


def foresee(request: SessionRequest, only: Callable[[Run], bool] | None = None) -> Foreseen:
    """Raises BadInput as `prepare` does, with the problems of all that the user named."""
    asked = check(request)
    cases = [case_named(name) for name in asked.spec.cases]
    tested = [(kernel.name, kernel.design) for kernel in asked.tested]
    family = next((family for family in FAMILIES if family == request.family), None)
    layers = {case.name: str(case.traffic.programs or "") for case in cases if case.traffic}
    runs = expand("dry-run", tested, asked.spec.nics, cases, asked.spec.repeat, asked.references, family, layers)
    runs = tuple(run for run in runs if only is None or only(run))
    releases = {kernel.name: _release(kernel) for kernel in asked.kernels}
    known, kinds = load_learnt(), {kernel.name: _kind(kernel) for kernel in asked.kernels}
    ways = [way_of(name, cold=request.cold) for name in ACCELERATORS if request.accelerator in ("auto", name)]

    def measured(way: str) -> int:
        return sum(known.has_measured(run, kinds[run.kernel], way) for run in runs)

    way = max(ways, key=measured)
    most = most_pairs(request, runs)
    at_once = choose(known.rates.get(host_shape(way), {}), most, host_size().cpus)
    pairs = Choice(most, "as asked") if request.pairs else at_once

    def pair_seconds(run: Run) -> float:
        return known.pair_seconds(run, kinds[run.kernel], way, PAIR_SECONDS)

    ordered = running_order(runs, pairs.pairs, lambda run: known.seconds(run, kinds[run.kernel], way), pair_seconds)
    return Foreseen(
        ordered,
        {
            run.id: foretold(case_named(run.case), run, releases[run.kernel], request.expect, skipped=False).value
            for run in ordered
        },
        tuple((kernel.name, _how(kernel)) for kernel in asked.kernels),
        Choice(min(pairs.pairs, len({run.batch for run in ordered})), pairs.why),
        seconds_left(ordered, (), pairs.pairs, pair_seconds),
        way,
        measured(way),
    )


def _kind(kernel: Kernel) -> str:
    """As of the kernel that would be made of it."""
    if isinstance(kernel, Recipe):
        return kernel_kind(kernel.base.label, (fragment.name for fragment in kernel.fragments))
    return kernel_kind("", ())


def _release(kernel: Kernel) -> str:
    """As of the kernel that would be made of it, as far as its version goes."""
    return (kernel.base.version or "") if isinstance(kernel, Recipe) else kernel.release


def _how(kernel: Kernel) -> str:
    if isinstance(kernel, CatalogueKernel):
        return "there" if kernel.fetched else "fetched"
    return "built, if it is not there" if isinstance(kernel, Recipe) else "there"
