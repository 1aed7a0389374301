# SPDX-License-Identifier: GPL-2.0-only
"""Which plan a pytest runs: the one that it was given, that its controller made, or one made of its options."""

from __future__ import annotations

import contextlib
import functools
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lab.errors import BadInput, LabError
from lab.host.paths import cache_root
from lab.host.workers import registered
from lab.plan.session import SessionPlan, load
from lab.provision.private import private_folder
from lab.provision.sweep import tidy
from lab.text.words import printable

PLAN = pytest.StashKey[SessionPlan]()


def _roots(config: pytest.Config) -> list[Path]:
    return [Path(str(arg).split("::")[0]).resolve() for arg in config.args]


def targets_suites(config: pytest.Config) -> bool:
    """Whether cases are to be run: they lie where experiments do, or there is a plan of them."""
    from lab.host.paths import named_suites, suites_dir

    folders = {suites_dir(), *named_suites()}
    return bool(config.option.lab_plan) or any(not folders.isdisjoint((root, *root.parents)) for root in _roots(config))


def name_suites(config: pytest.Config) -> None:
    """`pytest ~/my-suite`: who names the folder of an experiment, or a file in it, wants it known."""
    from lab.experiments.found import forget, is_experiment
    from lab.host.paths import name_suite, suites_dir

    for root in _roots(config):
        folder = next((path for path in (root, *root.parents) if is_experiment(path)), None)
        if folder is not None and suites_dir() not in folder.parents:
            name_suite(folder)
            forget()


def _request(config: pytest.Config) -> Any:  # noqa: ANN401 - imported late
    from lab.spec.request import SessionRequest

    option = config.option
    wanted = getattr(option, "numprocesses", None)
    return SessionRequest(
        names=tuple(option.lab_names),
        kernels=tuple(option.kernel),
        nics=tuple(option.nic),
        repeat=option.repeat,
        pairs=wanted if isinstance(wanted, int) else 0,
        connect=option.connect,
        accelerator=option.accel,
        reference=option.reference,
        family=option.family,
        cold=option.cold,
        command=shlex.join(["pytest", *config.invocation_params.args]),
    )


def session_plan(config: pytest.Config) -> SessionPlan:
    """The plan of this pytest run, made at first use; a worker reads the one its controller made."""
    if PLAN not in config.stash:
        workerinput = getattr(config, "workerinput", None)
        given = workerinput["lab_plan"] if workerinput is not None else config.option.lab_plan
        if given:
            config.stash[PLAN] = _given_plan(Path(given))
            if workerinput is None and config.option.lab_tidy:
                config.add_cleanup(functools.partial(tidy, config.stash[PLAN].sockets))
        else:
            config.stash[PLAN] = _make_plan(config)
        if workerinput is None:
            _register(config)
    return config.stash[PLAN]


def _given_plan(path: Path) -> SessionPlan:
    try:
        return load(path.read_bytes(), cache_root())
    except (LabError, OSError) as exc:
        raise pytest.UsageError(f"{path}: {exc}") from exc


def say(what: str) -> None:
    print(printable(f"lab: {what}"), file=sys.stderr)


def _register(config: pytest.Config) -> None:
    """This process leaves reports: who tidies up before it has, waits for it."""
    at_work = contextlib.ExitStack()
    config.add_cleanup(at_work.close)
    at_work.enter_context(registered(config.stash[PLAN].sockets, "controller"))


def _make_plan(config: pytest.Config) -> SessionPlan:
    from lab.host.paths import results_folder
    from lab.host.size import require_files
    from lab.session.prepare import prepare

    try:
        folder = results_folder(Path(config.option.results) if config.option.results else None)
        require_files()
        sockets = private_folder(config.add_cleanup)
        return prepare(_request(config), folder, sockets, say)
    except BadInput as exc:
        raise pytest.UsageError(str(exc)) from exc
    except (LabError, OSError) as exc:
        _give_up(str(exc), pytest.ExitCode.INTERNAL_ERROR)
    except KeyboardInterrupt:
        _give_up("interrupted before the first run", pytest.ExitCode.INTERRUPTED)


def _give_up(why: str, status: pytest.ExitCode) -> NoReturn:
    """Before there is a session: pytest itself knows of wrong usage only."""
    print(printable(f"ERROR: {why}"), file=sys.stderr)
    raise SystemExit(status)
