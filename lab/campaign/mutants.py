# SPDX-License-Identifier: GPL-2.0-only
"""The lab tested on kernels with one known defect each: which case must catch it, and whether it did.

Each mutant is a patch images/kernels/mutants/KERNEL/NAME.patch with trailers in its message: `Defect:` one sentence;
`Caught-by:` cases, the first of which claims it; where needed `Nic:` a profile and `Caught-as:` a word other than FAIL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.errors import BadInput, tried
from lab.experiments.found import all_cases
from lab.host.records import tell
from lab.kernels import recipes
from lab.kernels.delivered import read_series
from lab.kernels.naming import BuildName
from lab.kernels.series import Patch
from lab.kernels.tree import fits
from lab.plan.matrix import Run
from lab.plan.nics import NICS
from lab.report.model import RunResult
from lab.spec.suite import unknown
from lab.verdict.model import Finding, Word

HINT = "lab kernel list names the mutants; docs/kernels.md says what their patches must tell"


@dataclass(frozen=True)
class Mutant:
    """A kernel with one defect. control: the same without it; cases: the first claims to catch it, as `caught_as`."""

    name: str
    control: str
    defect: str
    cases: tuple[str, ...]
    nic: str
    caught_as: Word = Word.FAIL

    @property
    def claim(self) -> str:
        return self.cases[0]


class Outcome(StrEnum):
    """What became of a mutant, best first."""

    CAUGHT = "caught"
    BY_OTHER = "caught by another case only"
    NOT_CAUGHT = "not caught"
    NOT_GREEN = "the kernel without it is not green"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Seen:
    """One case on a mutant: the words of its repeats, the rules that said them and the first message; likewise of the
    control, where `control_told` is what was found against it ("" when it is green)."""

    case: str
    words: tuple[Word, ...]
    control: tuple[Word, ...]
    rules: tuple[str, ...]
    message: str
    control_told: str = ""


@dataclass(frozen=True)
class Judged:
    """A mutant and what was seen of it."""

    mutant: Mutant
    seen: tuple[Seen, ...]
    outcome: Outcome


def chosen(names: Sequence[str], design: str, nic: str, base: str = "") -> tuple[Mutant, ...]:
    """The mutants asked for: all, those of a design, or by name. base "" is the default, for which all were made; of
    all on another those that fit, the others are told. Raises BadInput with every problem."""
    known = recipes.mutants(base)
    problems = unknown("mutant", names, [word for m in known for word in (m.mutant, str(m))])
    problems += unknown("design", [design] if design else [], sorted({m.stem for m in known}))
    problems += unknown("NIC profile", [nic], tuple(NICS))
    if base:
        tried(problems, lambda: recipes.recipe_of(f"{base}:stock"))
    found = [m for m in known if not names or m.mutant in names or str(m) in names]
    mutants = []
    for parts in found:
        if not design or design in (parts.stem, _on(parts)):
            mutants += _read(parts, nic, problems)
    if base and not problems:
        mutants = _fitting(mutants, problems if names else None)
    if not problems and not mutants:
        there = recipes.images() / "mutants"
        problems.append(f"there is no mutant under {there}{f' that fits base {base}' if base else ''}.")
    if problems:
        raise BadInput(problems, hint=HINT)
    return tuple(mutants)


def mutant_of(parts: BuildName, patch: Patch, nic: str) -> Mutant:
    """A mutant from its patch; `nic` is the profile of one that names none. Raises BadInput with every problem."""
    cases = tuple(word.strip() for word in patch.trailer("Caught-by").split(",") if word.strip())
    wanted, word = patch.trailer("Nic") or nic, patch.trailer("Caught-as") or Word.FAIL.value
    problems = [f"no trailer {t}" for t in ("Defect", "Caught-by") if not patch.trailer(t)]
    problems += [*unknown("case", cases, tuple(all_cases())), *unknown("NIC profile", [wanted], tuple(NICS))]
    if word not in (Word.FAIL, Word.ERROR):
        problems.append(f"Caught-as: {word!r} is neither FAIL nor ERROR")
    if problems:
        raise BadInput([f"{patch.source}: {problem}" for problem in problems], hint=HINT)
    control = str(replace(parts, mutant=""))
    return Mutant(str(parts), control, patch.trailer("Defect"), cases, wanted, Word(word))


def is_wanted(mutants: Iterable[Mutant]) -> Callable[[Run], bool]:
    """Which cells of kernels x NICs x cases are run: each mutant's own cases, and the same on its control."""
    cells = {(k, m.nic, case) for m in mutants for case in m.cases for k in (m.name, m.control)}
    return lambda run: (run.kernel, run.nic, run.case) in cells


def judge_mutants(mutants: Sequence[Mutant], results: Sequence[RunResult]) -> tuple[Judged, ...]:
    """What became of each. No I/O."""
    return tuple(_judged(mutant, results) for mutant in mutants)


def _judged(mutant: Mutant, results: Sequence[RunResult]) -> Judged:
    seen = tuple(_seen(mutant, case, results) for case in mutant.cases)
    return Judged(mutant, seen, _outcome(mutant, seen))


def _outcome(mutant: Mutant, seen: tuple[Seen, ...]) -> Outcome:
    """Only a case that is green without the defect can catch it; a MISS on either side says nothing."""
    every = [word for s in seen for word in (*s.words, *s.control)]
    if Word.MISS in every or any(not s.words or not s.control for s in seen):
        return Outcome.NO_VERDICT
    if any(word is not Word.PASS for s in seen for word in s.control):
        return Outcome.NOT_GREEN
    caught = [all(word is mutant.caught_as for word in s.words) for s in seen]
    if caught[0]:
        return Outcome.CAUGHT
    return Outcome.BY_OTHER if any(caught) else Outcome.NOT_CAUGHT


def _seen(mutant: Mutant, case: str, results: Sequence[RunResult]) -> Seen:
    def of(kernel: str) -> list[RunResult]:
        return [
            r
            for r in results
            if (r.manifest.kernel.name, r.manifest.nic, r.manifest.case) == (kernel, mutant.nic, case)
        ]

    runs, controls = of(mutant.name), of(mutant.control)
    told, against = _decisive(runs), _decisive([r for r in controls if r.verdict.word is not Word.PASS])
    return Seen(
        case,
        tuple(r.verdict.word for r in runs),
        tuple(r.verdict.word for r in controls),
        tuple(dict.fromkeys(f.rule for f in told)),
        told[0].message if told else "",
        "; ".join(f"{f.rule}: {f.message}" for f in against),
    )


def _decisive(runs: Sequence[RunResult]) -> list[Finding]:
    return [f for r in runs for f in r.verdict.findings if f.word is r.verdict.word]


def _read(parts: BuildName, nic: str, problems: list[str]) -> list[Mutant]:
    path = recipes.mutant_patch(parts)
    try:
        patches = read_series(path).patches if path else ()
        if len(patches) != 1:
            raise BadInput([f"{path}: {len(patches)} patches, a mutant is one."])
        return [mutant_of(parts, patches[0], nic)]
    except BadInput as exc:
        problems += exc.problems
        return []


def _on(parts: BuildName) -> str:
    """The kernel a mutant's patch goes on, as its directory is named."""
    return str(replace(parts, base="", mutant=""))


def _fitting(mutants: Iterable[Mutant], problems: list[str] | None) -> list[Mutant]:
    """Those whose patches go on their base, as far as it is unpacked here. The others are problems where they were
    asked for, else told."""
    found = []
    for mutant in mutants:
        try:
            recipe = recipes.recipe_of(mutant.name)
            fits(recipe.base, recipe.series)
            found.append(mutant)
        except BadInput as exc:
            if problems is None:
                first = exc.problems[0].splitlines()[0]
                tell(f"left out: {mutant.name}: {first}")
            else:
                problems += [f"{mutant.name}: {problem}" for problem in exc.problems]
    return found
