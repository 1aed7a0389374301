# SPDX-License-Identifier: GPL-2.0-only
"""Keeps the pairs of one worker: has the next one ready when a run wants it, and sees the used ones off."""

from __future__ import annotations

import contextlib
import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab.contracts import Progress
from lab.errors import LabTrouble
from lab.host.interrupt import held_back
from lab.host.size import host_size
from lab.pair.booted import booted_pair
from lab.pair.ready import ReadyPair, pair_request
from lab.pair.timeline import Timeline
from lab.pair.warm import exists, warm_pair
from lab.plan.capacity import room_for_another
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest


@dataclass
class _Held:
    """A pair, what it was made for, and what ends it."""

    key: str
    request: PairRequest
    ready: ReadyPair
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


@dataclass(frozen=True)
class _Ahead:
    """A pair that is being restored for a run which has not begun."""

    run: Run
    request: PairRequest
    timeline: Timeline
    made: Future[_Held]


class PairKeeper:
    """The pairs of one worker. Reuses a clean pair; prefetches the next one when memory allows.

    A pair that is not clean is replaced by one that is restored, or booted in a cold session.

    A key whose pair could not be made ready is not tried again: two hundred runs must not each wait for a dead kernel.
    """

    def __init__(self, hypervisor: Hypervisor, plan: SessionPlan, progress: Progress) -> None:
        self.hypervisor, self.plan, self.progress = hypervisor, plan, progress
        self.captures = plan.folder
        self._held: _Held | None = None
        self._failed: dict[str, tuple[Path, LabTrouble]] = {}
        self._beside: PairKeeper | None = None
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pairs")
        self._next: _Ahead | None = None
        self._leaving: list[Future[None]] = []

    @property
    def beside(self) -> PairKeeper:
        """Keeps the pair that runs a reference kernel beside ours. It lets go of it when we let go of ours."""
        if self._beside is None:
            self._beside = PairKeeper(self.hypervisor, self.plan, lambda what: self.progress(f"reference: {what}"))
        return self._beside

    def acquire(self, run: Run, timeline: Timeline | None = None) -> ReadyPair:
        """A clean pair for this run. Raises LabTrouble; `captures` then says where its consoles are.

        How a pair was made is told on the timeline of the run that it was made for.
        """
        if run.pair_key in self._failed:
            self.captures, trouble = self._failed[run.pair_key]
            raise trouble
        if self._held is None or self._held.key != run.pair_key:
            self._held = self._get(run, timeline or Timeline())
        return self._held.ready

    def expect(self, run: Run) -> None:
        """That run is the next: begin to restore its pair. Nothing is begun that takes long, or much memory."""
        if self.plan.cold or self._next is not None or run.pair_key in self._failed or run.reference:
            return
        if self._held is not None and self._held.key == run.pair_key and not run.shape.bare:
            return  # it will do, unless this run spoils it
        request = self._fresh_request(run)
        if exists(self.hypervisor, request) and room_for_another(host_size(), run.shape):
            ahead = Timeline()
            made = self._pool.submit(self._make, run, request, lambda _: None, ahead)
            self._next = _Ahead(run, request, ahead, made)

    def done(self, *, fit: bool) -> None:
        """A run has ended; `fit`: its pair is clean, and another run may use it."""
        if not fit:
            self.drop()

    def drop(self) -> None:
        """Give the pair up. Its guests are ended in the background when there is a next one to go on with."""
        if self._beside is not None:
            self._beside.drop()
        held, self._held = self._held, None
        if held is None:
            return
        if self.plan.cold:
            with held_back():
                held.stack.close()
        else:
            self._leaving.append(self._pool.submit(held.stack.close))

    def close(self) -> None:
        """End every guest and wait until all are gone. Raises HostTrouble when one cannot be ended."""
        with held_back():
            if self._beside is not None:
                self._beside.close()
            self.drop()
            self._forget_next()
            leaving, self._leaving = self._leaving, []
            self._pool.shutdown()
        for future in leaving:
            future.result()

    # -- making --------------------------------------------------------------------------------------------------

    def _get(self, run: Run, timeline: Timeline) -> _Held:
        """The pair that was restored for this run, or one that is made now."""
        if self._next is not None and self._next.run.id == run.id:
            self.captures = self._next.request.captures
            try:
                held = self._next.made.result()
            except LabTrouble as exc:
                self.progress(f"the pair that was restored ahead is lost: {exc.message.splitlines()[0]}")
            else:
                timeline.take(self._next.timeline)
                self._next = None
                self.drop()
                return held
        self._forget_next()
        self.drop()
        request = self._fresh_request(run)
        self.captures = request.captures
        try:
            return self._make(run, request, self.progress, timeline)
        except LabTrouble as exc:
            self._failed[run.pair_key] = (request.captures, exc)
            raise

    def _make(self, run: Run, request: PairRequest, progress: Progress, timeline: Timeline) -> _Held:
        stack = contextlib.ExitStack()
        get = booted_pair if self.plan.cold else warm_pair
        with stack:
            ready = stack.enter_context(get(self.hypervisor, request, progress, timeline))
            return _Held(run.pair_key, request, ready, stack.pop_all())

    def _forget_next(self) -> None:
        if self._next is not None:
            with contextlib.suppress(LabTrouble):
                self._next.made.result().stack.close()
        self._next = None  # last: who is interrupted above ends it in close()

    def _fresh_request(self, run: Run) -> PairRequest:
        """A pair that nobody has made before, neither we nor a worker that died and whose runs we got."""
        requests = (pair_request(self.plan, run, attempt) for attempt in itertools.count(1))
        return next(request for request in requests if not request.captures.exists())
