# SPDX-License-Identifier: GPL-2.0-only
"""Gives the runs of a plan to xdist's workers: those of a batch to one, and what is last to who is free first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from lab.plan.matrix import Run
from lab.plan.order import next_batch


class PairScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist tells mypy nothing
    """The runs of a batch share a pair, so they go to one worker; runs are known by the names of their items.

    `--dist loadgroup` would keep them together, but xdist 3.8 marks groups in a way that pytest 9.1 and later do not
    carry to the controller.

    xdist starts a worker's last item only when it knows what follows, or that nothing does. So that is decided when
    only one item is left, and not before.
    """

    def __init__(self, config: pytest.Config, log: Any, runs: Mapping[str, Run]) -> None:  # noqa: ANN401 - xdist's
        config.option.loadscopereorder = False  # the plan's order is the one wanted
        super().__init__(config, log)
        self._runs = runs
        self._since: dict[Any, float] = {}

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:  # noqa: ANN401
        self._since[node] = time.monotonic()
        super().mark_test_complete(node, item_index, duration)

    def _split_scope(self, nodeid: str) -> str:
        run = self._run(nodeid)
        return f"{run.pair_key} {run.batch}" if run else nodeid

    def _reschedule(self, node: Any) -> None:  # noqa: ANN401
        if self.workqueue and not node.shutting_down:
            if self._pending_of(self.assigned_work[node]) > 1:
                return
            others = [self._ahead(other) for other in self.nodes if other is not node and not other.shutting_down]
            place = next_batch(self._ahead(node), others, [self._length(unit) for unit in self.workqueue.values()])
            if place is None:
                node.shutdown()
                return
            self.workqueue.move_to_end(list(self.workqueue)[place], last=False)
        super()._reschedule(node)

    def _run(self, nodeid: str) -> Run | None:
        return self._runs.get(nodeid.split("::", 1)[-1])

    def _length(self, nodeids: Iterable[str]) -> float:
        return sum(run.seconds for run in map(self._run, nodeids) if run)

    def _ahead(self, node: Any) -> float:  # noqa: ANN401
        """Seconds until a worker is expected to have done what it has."""
        pending = [n for unit in self.assigned_work[node].values() for n, is_done in unit.items() if not is_done]
        gone = time.monotonic() - self._since.get(node, time.monotonic())
        return self._length(pending) - min(gone, self._length(pending[:1]))
