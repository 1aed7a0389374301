# SPDX-License-Identifier: GPL-2.0-only
"""How many pairs a session could have at once, for who decides what to put into it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lab.contracts import Progress
from lab.experiments.found import case_named
from lab.host.size import host_size
from lab.plan.capacity import admit, pairs_that_fit
from lab.plan.learnt import way_of
from lab.plan.pairs import choose
from lab.session.conduct import Conducts
from lab.session.learnt import load_learnt
from lab.session.prepare import combine, host_shape
from lab.spec.request import SessionRequest


@runtime_checkable
class Elsewhere(Protocol):
    """What has sessions done by other hosts, and knows how many pairs these have room for."""

    def room(self, progress: Progress) -> int:
        """Raises BadInput for a list that is none; 0 where no host can be used."""


def room_of(conducts: Conducts, request: SessionRequest, progress: Progress) -> int:
    """Pairs at once, one at least: as asked, what other hosts have room for, or what is fastest here. Raises BadInput
    with the arithmetic where that does not fit."""
    if isinstance(conducts, Elsewhere):
        room = conducts.room(progress)
        return max(1, min(room, request.pairs or room))
    return room_here(request)


def room_here(request: SessionRequest) -> int:
    """The same of this host. Where nothing is known of it, or its accelerator is not chosen yet, a pair a CPU."""
    shapes = [case_named(case).shape for case in combine(request).cases]
    size = host_size()
    if request.pairs:
        return admit(size, shapes, request.pairs)
    fit = pairs_that_fit(size, shapes)
    if request.accelerator == "auto":
        return choose({}, fit, size.cpus).pairs
    host = host_shape(way_of(request.accelerator, cold=request.cold))
    return choose(load_learnt().rates.get(host, {}), fit, size.cpus).pairs
