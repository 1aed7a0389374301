# SPDX-License-Identifier: GPL-2.0-only
"""What a night is about, and what of it a session is to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.campaign.diary import FOLDER
from lab.campaign.sources import Source
from lab.campaign.tracks import command_of
from lab.contracts import BootableKernel
from lab.experiments.found import case_named
from lab.plan.matrix import Run, expand
from lab.session.conduct import Conducts, conduct
from lab.session.learnt import load_learnt
from lab.session.prepare import combine
from lab.session.suites import with_folders
from lab.spec.night import NightSpec, Target
from lab.spec.request import SessionRequest


@dataclass(frozen=True)
class Asked:
    """What a night is about. `only` names targets, all if empty; `conduct` has its sessions done."""

    path: Path
    spec: NightSpec
    root: Path
    only: tuple[str, ...] = ()
    conduct: Conducts = conduct

    @property
    def folder(self) -> Path:
        return self.root / FOLDER / self.path.stem

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(target for target in self.spec.target if not self.only or target.name in self.only)


def request_of(asked: Asked, target: Target, kernel: str) -> SessionRequest:
    """What a target asks a session for."""
    spec = asked.spec
    own = bool(target.suites or target.cases)
    return SessionRequest(
        names=with_folders(target.cases if own else spec.cases),
        suites=target.suites if own else spec.suites,
        kernels=(kernel,),
        nics=target.nics or spec.nics,
        pairs=spec.pairs,
        command=command_of(asked.path, target.name),
    )


def wanted_runs(asked: Asked, target: Target, source: Source, kernel: BootableKernel) -> tuple[Run, ...]:
    """A run for each track. Raises BadInput."""
    suite = combine(request_of(asked, target, source.name))
    cases = [case_named(name) for name in suite.cases]
    return expand("", [(kernel.name, kernel.design)], suite.nics, cases, 1, {kernel.name: "-"})


def tracks(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{run.case}/{run.nic}" for run in runs))


def affordable(counts: Mapping[str, int], wanted: Sequence[Run], seconds: float) -> dict[str, int]:
    """As many of these as fit into a time, in their order, by how long they took so far."""
    durations = load_learnt().durations
    by_track = {f"{run.case}/{run.nic}": run for run in wanted}
    chosen: dict[str, int] = {}
    for track, times in counts.items():
        told = [value for key, values in durations.items() if key.startswith(f"{track}/") for value in values]
        each = max(told, default=by_track[track].seconds)
        fits = min(times, int(seconds // max(each, 1.0)))
        if fits < 1:
            break
        chosen[track] = fits
        seconds -= fits * each
    return chosen
