# SPDX-License-Identifier: GPL-2.0-only
"""The cases of rx_zerocopy, for tests that name them by a word or go through all of them; its stories are told there.

Tests of another experiment lie in a folder that has its name, and go with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lab.evidence.model import Evidence
from lab.experiments.found import case_named
from lab.plan import matrix
from lab.plan.design import Predicted
from lab.plan.matrix import Run
from lab.verdict import decide, predict
from lab.verdict.case import Case
from lab.verdict.model import Verdict
from suites.rx_zerocopy.experiment import EXPERIMENT

CASES: Mapping[str, Case] = EXPERIMENT.cases


def judge(evidence: Evidence, case: Case | None = None) -> Verdict:
    """The verdict by the case that the manifest names, or by another one. Raises BadInput for one that is none."""
    return decide.judge(evidence, case or case_named(evidence.manifest.case))


def predicted(design: str, nic: str, case: str, release: str = "6.12.0") -> Predicted:
    return predict.predict(CASES[case], design, nic, release)


def inapplicable(design: str, nic: str, case: str, release: str = "6.12.0") -> str:
    return predict.inapplicable(CASES[case], design, nic, release)


def run_of(case: str, nic: str = "virtio", *, session: str = "s", repeat: int = 0) -> Run:
    """One on a kernel called k."""
    (*_, run) = expand(session, [("k", "stock")], [nic], [case], repeat + 1, {"k": "ref"})
    return run


def expand(
    session: str,
    kernels: Sequence[tuple[str, str]],
    nics: Sequence[str],
    cases: Sequence[str],
    repeat: int,
    references: Mapping[str, str] = MappingProxyType({}),
    layers: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Run, ...]:
    chosen = [case_named(name) for name in cases]
    return matrix.expand(session, kernels, nics, chosen, repeat, references, layers=layers)
