# SPDX-License-Identifier: GPL-2.0-only
"""Which experiments there are: packages of suites/, found by their files and never named here."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType

from lab.errors import BadInput
from lab.experiments.contract import Experiment
from lab.host.paths import suites_dir
from lab.plan.design import Design
from lab.verdict.case import Case

PACKAGE, MODULE, VALUE = "suites", "experiment", "EXPERIMENT"


@functools.cache
def all_experiments() -> Mapping[str, Experiment]:
    """All experiments by name. Raises BadInput when two cases have one name."""
    folders = sorted(path.parent.name for path in suites_dir().glob(f"*/{MODULE}.py"))
    found: list[Experiment] = [
        getattr(importlib.import_module(f"{PACKAGE}.{name}.{MODULE}"), VALUE) for name in folders
    ]
    names = [name for experiment in found for name in experiment.cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(
            [f"two experiments have a case {name!r}" for name in twice], hint="give one of them another name"
        )
    return {experiment.name: experiment for experiment in found}


@functools.cache
def all_cases() -> Mapping[str, Case]:
    """The cases of all experiments by name, in the order in which they are shown."""
    return {name: case for experiment in all_experiments().values() for name, case in experiment.cases.items()}


@functools.cache
def all_designs() -> Mapping[str, Design]:
    """The kernel designs of all experiments by name."""
    return {name: design for experiment in all_experiments().values() for name, design in experiment.designs.items()}


def case_named(name: str) -> Case:
    """Raises BadInput for a case this lab does not know."""
    if name not in all_cases():
        raise BadInput([f"{name!r} is not a case"], hint=f"cases are {', '.join(sorted(all_cases()))}")
    return all_cases()[name]


def cases_in(package: ModuleType) -> Mapping[str, Case]:
    """The cases that the modules of a package hold, by chapter and name: a new file is a new case."""
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Case)}
    return {case.name: case for case in sorted(found.values(), key=lambda case: (case.chapter, case.name))}
