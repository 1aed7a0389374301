"""What the thread predicts, to be set beside what was measured. Never a verdict."""

from __future__ import annotations

from collections.abc import Mapping

from lab.errors import BadInput
from lab.plan.cases import CASES
from lab.plan.designs import DESIGNS
from lab.plan.nics import NICS
from lab.verdict.model import Word


def predict(design: str, nic: str, case: str) -> Word:
    """The word predicted for a design on a NIC in a case; ERROR where the NIC delivers nothing that can be mapped.

    Raises BadInput naming every argument that no table has.
    """
    problems = [*_unknown("design", design, DESIGNS), *_unknown("NIC", nic, NICS), *_unknown("case", case, CASES)]
    if problems:
        raise BadInput(problems)
    if not NICS[nic].mappable:
        return Word.ERROR
    return Word.FAIL if case in DESIGNS[design].fails else Word.PASS


def _unknown(kind: str, name: str, table: Mapping[str, object]) -> list[str]:
    return [] if name in table else [f"{name!r} is not a {kind}; known: {', '.join(sorted(table))}"]
