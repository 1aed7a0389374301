# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a stored session that are worth running again: what was not as predicted, or left no bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.archive.reports import read_session, stored_plan
from lab.errors import BadInput
from lab.experiments.found import experiment_of
from lab.kernels.catalogue import resolve
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.spec.request import SessionRequest


@dataclass(frozen=True)
class Again:
    """What to ask for, and which of the runs planned for that are meant. Cells are run by the same numbers as before,
    so that the same bytes go over the same family."""

    request: SessionRequest
    cells: frozenset[tuple[str, str, str, int]]
    any_kernel: bool

    def wanted(self, run: Run) -> bool:
        return any(self._is(run, *cell) for cell in self.cells)

    def _is(self, run: Run, kernel: str, nic: str, case: str, repeat: int) -> bool:
        same = (run.nic, run.case, run.repeat) == (nic, case, repeat)
        return same and (self.any_kernel or run.kernel == kernel)


def again(session: Path, request: SessionRequest) -> Again | None:
    """A session's runs that failed, by a request that may name other kernels for them; None where there are none.

    Raises BadInput where the request says itself what to run, or the session is none that `lab run` made.
    """
    fixed = {"suites or cases": request.names or request.suites, "--nic": request.nics, "--repeat": request.repeat}
    problems = [f"--rerun-failed knows what to run: no {name} beside it" for name in fixed if fixed[name]]
    if problems:
        raise BadInput(problems, hint="--kernel may be given: these runs on another kernel")
    plan, stored = stored_plan(session), read_session(session)
    sound = {result.manifest.run for result in stored.results if not result.disagrees}
    failed = [run for run in plan.runs if run.id not in sound]
    if strange := sorted({run.case for run in failed if experiment_of(run.case).more}):
        raise BadInput([f"{session.name}: {case} is not run by lab run" for case in strange], hint="lab selftest")
    if not failed:
        return None
    kernels = request.kernels or _each(_typed(plan, run.kernel) for run in failed)
    names = _names_now(plan, failed) if len(kernels) > 1 and not request.kernels else {}
    return Again(
        replace(
            request,
            names=_each(run.case for run in failed),
            kernels=kernels,
            nics=_each(run.nic for run in failed),
            repeat=max(run.repeat for run in failed) + 1,
            reference=request.reference or _reference(plan, failed),
        ),
        frozenset((names.get(run.kernel, ""), run.nic, run.case, run.repeat) for run in failed),
        any_kernel=not names,
    )


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _typed(plan: SessionPlan, kernel: str) -> str:
    return plan.kernel(kernel).asked or kernel


def _names_now(plan: SessionPlan, runs: Sequence[Run]) -> dict[str, str]:
    """What each kernel is called today: one that was built again since may have another release. Raises BadInput."""
    return {name: resolve([_typed(plan, name)])[0].name for name in _each(run.kernel for run in runs)}


def _reference(plan: SessionPlan, runs: Sequence[Run]) -> str:
    """The kernel that runs were compared with, where it is one for all and was not found by itself."""
    named = {run.reference for run in runs if run.reference}
    return _typed(plan, *named) if len(named) == 1 else ""
