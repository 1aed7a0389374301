# SPDX-License-Identifier: GPL-2.0-only
"""A case as it is judged: the rules that must each speak for a PASS, and what is expected of each kernel design."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lab.evidence.model import Evidence, Ledger
from lab.plan.case import CaseSpec
from lab.plan.design import Design, Predicted
from lab.plan.nics import NicProfile
from lab.verdict.model import Finding, Part

Judge = Callable[[Evidence, "Case", Ledger], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One question to the evidence, by the name that its findings bear.

    may_skip  its SKIP says that the kernel did not allow what the case is about, so that nothing was tried
    yields    its ERROR says that the test told too little, and a FAIL that the test did tell outweighs that
    """

    name: str
    judge: Judge
    may_skip: bool = False
    yields: bool = False

    def __call__(self, evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
        return self.judge(evidence, case, ledger)

    @property
    def about(self) -> str:
        """What it asks, in a sentence."""
        return inspect.cleandoc(self.judge.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def rule(name: str, *, may_skip: bool = False, yields: bool = False) -> Callable[[Judge], Rule]:
    """Make a rule of a function from evidence, case and ledger to findings that bear this name."""
    return lambda judge: Rule(name, judge, may_skip, yields)


class Own(Protocol):
    """What an experiment alone keeps in a bundle, parsed: what it tells of the parts of a case, and beside its word."""

    @property
    def parts(self) -> tuple[Part, ...]: ...

    @property
    def told(self) -> Mapping[str, str | int | None]: ...


@dataclass(frozen=True)
class Case(CaseSpec):
    """One case of an experiment.

    rules       each must speak before there can be a PASS
    script      what is done with a pair: a function of its Steps (of two, where the case compares)
    expect      by the name of a design what it should show; designs that are not there behave like stock
    designs     those of its experiment, by name
    why_not     why it does not apply to the designs of which a SKIP is expected
    any_driver  it asks what happens on a driver that a design does not account for, as well as on one that it does
    page        what a reader should know before believing it
    file        path of the file where it is written
    chapter     cases of one are shown together
    read        parses what its experiment alone keeps in a bundle, for its rules to find in `evidence.own`
    escapes     it asks what escapes the charge, so that figure is shown beside its word
    possible    whether it can be tried on a NIC with a kernel of that release; where it cannot, ERROR is predicted
    """

    rules: tuple[Rule, ...] = ()
    script: Callable[..., None] = field(default=lambda *_: None, repr=False)
    expect: Mapping[str, Predicted] = field(default_factory=dict)
    designs: Mapping[str, Design] = field(default_factory=dict, repr=False)
    why_not: str = ""
    any_driver: bool = False
    page: str = field(default="", repr=False)
    file: str = ""
    chapter: int = 0
    escapes: bool = False
    possible: Callable[[NicProfile, str], bool] = field(default=lambda *_: True, repr=False)
    read: Callable[[Evidence], Own] | None = None
