# SPDX-License-Identifier: GPL-2.0-only
"""The suites of this checkout, suites/NAME.toml; and experiments that the user names by their folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.errors import BadInput
from lab.experiments.found import all_cases, all_experiments, forget
from lab.host.paths import name_suite, suites_dir
from lab.spec.suite import SuiteSpec, load_suite, unknown


def suite_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in suites_dir().glob("*.toml")))


def read_suite(name: str) -> SuiteSpec:
    """Raises BadInput with file and key of every problem."""
    path = suites_dir() / f"{name}.toml"
    return load_suite(path.read_text(), str(path))


def _known_as(folder: Path) -> str:
    """The name of the experiment in a folder: one of this checkout is known, another one is from now on."""
    if folder.parent == suites_dir() and folder.name in all_experiments():
        return folder.name
    name_suite(folder)
    forget()
    return str(folder)


def with_folders(names: Sequence[str]) -> tuple[str, ...]:
    """Names of suites and cases as the user typed them, with those of its cases in place of FOLDER or FOLDER:CASE.

    From here on this process, and those it starts, know the experiments of these folders. Raises BadInput.
    """
    problems: list[str] = []
    found: list[str] = []
    for name in names:
        folder, _, case = name.partition(":")
        if "/" not in folder or name in all_cases():
            found.append(name)
            continue
        path = Path(folder).expanduser().resolve()
        try:
            known = _known_as(path)
            cases = all_experiments()[known].cases
        except BadInput as exc:
            raise BadInput([*problems, *exc.problems], hint=exc.hint) from exc
        problems += [f"{folder}: {problem}" for problem in unknown("case", [case] if case else [], list(cases))]
        found += [case] if case else list(cases)
    if problems:
        raise BadInput(problems, hint="lab run FOLDER runs all cases of an experiment")
    return tuple(found)
