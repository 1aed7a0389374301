# SPDX-License-Identifier: GPL-2.0-only
"""Which experiments there are, never named here: packages of suites/, folders that the user names, installed ones.

A folder is named by `lab run FOLDER`, `pytest FOLDER` or LAB_SUITES=FOLDER:FOLDER; an installed package by an entry
point of the group `lab.experiments`, which is its EXPERIMENT.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from types import ModuleType

from lab.errors import BadInput
from lab.evidence.model import Evidence
from lab.experiments.contract import Experiment
from lab.host.paths import named_suites, suites_dir
from lab.plan.case import Traffic
from lab.plan.design import Design
from lab.verdict.case import Case

PACKAGE, MODULE, VALUE, GROUP = "suites", "experiment", "EXPERIMENT", "lab.experiments"
MOST_NAMED = 3
"""Cases of the same name that are told of two experiments."""


def is_experiment(folder: Path) -> bool:
    """Whether a folder is a package with an experiment.py."""
    return all((folder / name).is_file() for name in ("__init__.py", f"{MODULE}.py"))


@functools.cache
def all_experiments() -> Mapping[str, Experiment]:
    """All experiments by name, those of named folders by the folder as well: its path.

    Raises BadInput for folders that cannot be loaded, and when two cases have one name.
    """
    found = dict(_found())
    both = [(one, other, found[one].cases.keys() & found[other].cases) for one, other in combinations(found, 2)]
    if twice := [f"{one} and {other} both have {_cases(names)}" for one, other, names in both if names]:
        raise BadInput(twice, hint="give one of them another name; what another checkout has, its own lab runs")
    return found


def _cases(names: Collection[str]) -> str:
    told = ", ".join(sorted(names)[:MOST_NAMED])
    return f"the case {told}" if len(names) == 1 else f"{len(names)} cases: {told}{', …' * (len(names) > MOST_NAMED)}"


def _found() -> Iterator[tuple[str, Experiment]]:
    for path in sorted(suites_dir().glob(f"*/{MODULE}.py")):
        yield path.parent.name, getattr(importlib.import_module(f"{PACKAGE}.{path.parent.name}.{MODULE}"), VALUE)
    for point in importlib.metadata.entry_points(group=GROUP):
        yield point.name, point.load()
    for folder in named_suites():
        yield str(folder), _loaded(folder)


def _loaded(folder: Path) -> Experiment:
    """The experiment of a folder; its modules import each other by relative imports. Raises BadInput."""
    if not is_experiment(folder):
        raise BadInput([f"{folder}: no experiment: it needs __init__.py and {MODULE}.py"], hint="docs/extend.md")
    name = f"suite_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    try:
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(
                name, folder / "__init__.py", submodule_search_locations=[str(folder)]
            )
            if spec is None or spec.loader is None:
                raise ImportError(name)
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
        made = getattr(importlib.import_module(f"{name}.{MODULE}"), VALUE)
    except Exception as exc:  # whatever somebody else's module may raise
        raise BadInput([f"{folder}: cannot be loaded: {type(exc).__name__}: {exc}"]) from exc
    if not isinstance(made, Experiment):
        raise BadInput([f"{folder / MODULE}.py: {VALUE} is no lab.experiments.contract.Experiment"])
    return made


def skeletons() -> Mapping[str, Path]:
    """By the name of an experiment of this checkout, the files that `lab new` begins with, where it brings any."""
    return {path.parent.name: path for path in sorted(suites_dir().glob("*/skeleton"))}


@functools.cache
def all_cases() -> Mapping[str, Case]:
    """The cases of all experiments by name, in the order in which they are shown."""
    return {name: case for experiment in all_experiments().values() for name, case in experiment.cases.items()}


@functools.cache
def all_designs() -> Mapping[str, Design]:
    """The kernel designs of all experiments by name."""
    return {name: design for experiment in all_experiments().values() for name, design in experiment.designs.items()}


def nic_traffic() -> Traffic:
    """The traffic by which the table of NIC profiles was measured. Raises BadInput where no experiment has it."""
    for experiment in all_experiments().values():
        if experiment.measured is not None:
            return experiment.measured
    raise BadInput(
        ["no experiment says how NIC profiles are measured"], hint="Experiment.measured of its experiment.py"
    )


def forget() -> None:
    """Another folder was named: what was found is looked for anew."""
    for found in (all_experiments, all_cases, all_designs):
        found.cache_clear()


def find_case(name: str) -> Case | None:
    """The case of that name: one that is listed, or one that an experiment finds elsewhere."""
    if name in all_cases():
        return all_cases()[name]
    found = (experiment.more.named(name) for experiment in all_experiments().values() if experiment.more)
    return next(filter(None, found), None)


def case_named(name: str) -> Case:
    """Raises BadInput for a case this lab does not know."""
    case = find_case(name)
    if case is None:
        known = ", ".join(sorted(all_cases()))
        raise BadInput([f"{name!r} is not a case"], hint=f"cases are {known}; LAB_SUITES=FOLDER names more")
    return case


def experiment_of(case: str) -> Experiment:
    """The experiment that has a case. Raises BadInput for a case this lab does not know."""
    for experiment in all_experiments().values():
        if case in experiment.cases or (experiment.more and experiment.more.named(case)):
            return experiment
    raise BadInput([f"{case!r} is not a case"], hint="lab cases")


def as_typed(case: str) -> str:
    """The command and the name by which a user has a case run; FOLDER:NAME where its experiment is in a folder."""
    for place, experiment in all_experiments().items():
        if experiment.more and experiment.more.named(case):
            return shlex.join([*experiment.more.command.split(), case])
        if case in experiment.cases and place.startswith("/"):
            return shlex.join(["lab", "run", f"{place}:{case}"])
    return shlex.join(["lab", "run", case])


def older_records() -> Mapping[str, Callable[[Mapping[str, bytes]], tuple[Evidence, Case]]]:
    """How bundles without a manifest are read, by the name of the file that makes a folder one of them."""
    return {name: parse for experiment in all_experiments().values() for name, parse in experiment.older.items()}


def cases_in(package: ModuleType) -> Mapping[str, Case]:
    """The cases that the modules of a package hold, by chapter and name: a new file is a new case."""
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Case)}
    return {case.name: case for case in sorted(found.values(), key=lambda case: (case.chapter, case.name))}
