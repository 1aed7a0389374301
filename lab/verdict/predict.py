# SPDX-License-Identifier: GPL-2.0-only
"""What a case expects of a kernel design, to be set beside what was measured. Never a verdict."""

from __future__ import annotations

from lab.errors import BadInput
from lab.plan.design import STOCK, Predicted
from lab.plan.matrix import Run
from lab.plan.nics import NICS
from lab.verdict.case import Case
from lab.verdict.model import Word

MEASURED = frozenset({Word.PASS, Word.FAIL, Word.DONE, Word.SKIP})
"""The words that say something about the kernel, SKIP among them: that it refuses what the case wants to try.
An open prediction agrees with each of them and with no other."""


def accounts(case: Case, design: str, nic: str, release: str) -> bool:
    """Whether a design, in a kernel of that release, does something else than stock with what a NIC delivers."""
    found, profile = case.designs.get(design), NICS.get(nic)
    return found is not None and profile is not None and found.accounts_for(profile, release)


def acts_as(case: Case, design: str, nic: str, release: str) -> str:
    """The design whose column holds for a case on a NIC: stock where it does not account for what that delivers."""
    return design if design in case.expect and (case.any_driver or accounts(case, design, nic, release)) else STOCK


def inapplicable(case: Case, design: str, nic: str, release: str) -> str:
    """Why the case says nothing about this design, in a kernel of that release, on this NIC; "" when it does."""
    like = acts_as(case, design, nic, release)
    if case.expect.get(like, Predicted.OPEN) is not Predicted.SKIP:
        return ""
    where = design if like == design else f"{design} on {nic}, whose pages it does not account for"
    return f"n/a for {where}: {case.why_not}"


def predict(case: Case, design: str, nic: str, release: str) -> Predicted:
    """What is predicted for a design, in a kernel of that release, on a NIC in a case; ERROR where nobody expects the
    two of them to do what it is about.

    Raises BadInput for a NIC that no table has.
    """
    if nic not in NICS:
        raise BadInput([f"{nic!r} is not a NIC; known: {', '.join(sorted(NICS))}"])
    told = case.expect.get(acts_as(case, design, nic, release), Predicted.OPEN)
    proves = not case.proved or case.traffic is None or case.traffic.preflight.possible(NICS[nic], release)
    possible = proves and case.possible(NICS[nic], release)
    return told if possible or told is Predicted.SKIP else Predicted.ERROR


def foretold(case: Case, run: Run, release: str, expect: str, *, skipped: bool) -> Predicted:
    """What a run is expected to get: SKIP where it does not apply, else `expect`, else what its case predicts."""
    if skipped:
        return Predicted.SKIP
    return Predicted(expect) if expect else predict(case, run.design, run.nic, release)


def agrees(word: Word, predicted: str, *, kernel_fault: bool = False) -> bool:
    """Whether a verdict is what was predicted, in the words of the manifest. Nobody predicts a fault of a kernel."""
    if kernel_fault:
        return False
    return word in MEASURED if predicted == Predicted.OPEN else word.value == predicted
