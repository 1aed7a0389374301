# SPDX-License-Identifier: GPL-2.0-only
"""What the thread predicts, to be set beside what was measured. Never a verdict."""

from __future__ import annotations

from collections.abc import Mapping

from lab.errors import BadInput
from lab.plan.cases import CASES
from lab.plan.designs import DESIGNS, PREDICTIONS, Predicted, acts_as
from lab.plan.nics import NICS
from lab.verdict.model import Word

MEASURED = frozenset({Word.PASS, Word.FAIL, Word.DONE, Word.SKIP})
"""The words that say something about the kernel, SKIP among them: that it refuses what the case wants to try.
An open prediction agrees with each of them and with no other."""


def predict(design: str, nic: str, case: str) -> Predicted:
    """What is predicted for a design on a NIC in a case; ERROR where the NIC delivers nothing that can be mapped.

    Raises BadInput naming every argument that no table has.
    """
    problems = [*_unknown("design", design, DESIGNS), *_unknown("NIC", nic, NICS), *_unknown("case", case, CASES)]
    if problems:
        raise BadInput(problems)
    told = PREDICTIONS[case][acts_as(design, nic, case)]
    return told if NICS[nic].mappable or told is Predicted.SKIP else Predicted.ERROR


def agrees(word: Word, predicted: str, *, kernel_fault: bool = False) -> bool:
    """Whether a verdict is what was predicted, in the words of the manifest. Nobody predicts a fault of a kernel."""
    if kernel_fault:
        return False
    return word in MEASURED if predicted == Predicted.OPEN else word.value == predicted


def _unknown(kind: str, name: str, table: Mapping[str, object]) -> list[str]:
    return [] if name in table else [f"{name!r} is not a {kind}; known: {', '.join(sorted(table))}"]
