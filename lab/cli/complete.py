# SPDX-License-Identifier: GPL-2.0-only
"""Values that the shell completes. None of these may fail, or print: whoever presses TAB wants no error."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

Offers = list[tuple[str, str]]
"""(value, what it is)"""


def _never_fails(offers: Callable[[], Iterable[tuple[str, str]]]) -> Callable[[str], Offers]:
    """A typer completion callback: the offers that begin with what was typed."""

    @functools.wraps(offers)
    def complete(incomplete: str) -> Offers:
        try:
            return [(name, text) for name, text in offers() if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - see above
            return []

    complete.__annotations__ = {"incomplete": str}  # typer looks at these to decide what to pass
    del complete.__wrapped__  # and would follow this to a function without arguments
    return complete


@_never_fails
def suites_and_cases() -> Iterable[tuple[str, str]]:
    """Names that `lab run` takes."""
    from lab.experiments.found import all_cases
    from lab.session.suites import read_suite, suite_names

    return [*((n, read_suite(n).description) for n in suite_names()), *((c.name, c.how) for c in all_cases().values())]


@_never_fails
def cases() -> Iterable[tuple[str, str]]:
    """Names that `lab cases` takes."""
    from lab.experiments.found import all_cases

    return [(case.name, case.how) for case in all_cases().values()]


@_never_fails
def nics() -> Iterable[tuple[str, str]]:
    """NIC profiles."""
    from lab.plan.nics import NICS

    return [(nic.name, nic.reason) for nic in NICS.values()]


@_never_fails
def kernels() -> Iterable[tuple[str, str]]:
    """Stock kernels, by line, by full name, and the newest; kernels that the lab builds. Asks no network."""
    from lab.kernels.catalogue import everything, fitting

    offered = everything()
    short = [*("newest", "newest-any"), *dict.fromkeys(k.line for k in offered)]
    meant = [(name, kernel.name) for name in short if (kernel := fitting(name, offered))]
    return [*meant, *((k.name, k.archive or k.package) for k in offered), *built("")]


@_never_fails
def built() -> Iterable[tuple[str, str]]:
    """Kernels that the lab can build."""
    from lab.experiments.found import all_designs
    from lab.kernels import recipes

    return [
        *((n, all_designs()[n].summary) for n in recipes.designs()),
        *((n, "built with --name") for n in recipes.own_names()),
    ]


@_never_fails
def own_kernels() -> Iterable[tuple[str, str]]:
    """Names that were given by --name."""
    from lab.kernels import recipes

    return [(name, "built with --name") for name in recipes.own_names()]


def _words(*words: str) -> Callable[[str], Offers]:
    return _never_fails(lambda: [(word, "") for word in words])


accelerators = _words("auto", "kvm", "tcg")
families = _words("ipv4", "ipv6")
carriers = _words("parallel", "local", "slurm")
uris = _words("embed", "qemu:///session", "qemu:///system")
roles = _words("receiver", "sender")
expected = _words("PASS", "FAIL", "ERROR", "DONE")


@_never_fails
def designs() -> Iterable[tuple[str, str]]:
    """Kernel designs."""
    from lab.experiments.found import all_designs

    return [(name, design.summary) for name, design in all_designs().items()]


@_never_fails
def sessions() -> Iterable[tuple[str, str]]:
    """Names of stored sessions, the newest first."""
    from lab.cli.find import sessions as stored
    from lab.host.paths import results_root

    return [(folder.name, "session") for folder in stored(results_root())]


@_never_fails
def suites() -> Iterable[tuple[str, str]]:
    """Names of suites."""
    from lab.session.suites import read_suite, suite_names

    return [(name, read_suite(name).description) for name in suite_names()]


@_never_fails
def mutants() -> Iterable[tuple[str, str]]:
    """Mutants by their full names."""
    from lab.kernels import recipes

    return [(str(m), m.mutant) for m in recipes.mutants()]


@_never_fails
def runs() -> Iterable[tuple[str, str]]:
    """Ids of stored runs, of the newest session first."""
    from lab.cli.find import bundles_of, sessions
    from lab.host.paths import results_root

    return [(bundle.name, session.name) for session in sessions(results_root()) for bundle in bundles_of(session)]


@_never_fails
def runs_and_sessions() -> Iterable[tuple[str, str]]:
    """Names of stored sessions and ids of stored runs, the newest first."""
    from lab.cli.find import sessions
    from lab.host.paths import results_root

    return [*((folder.name, "session") for folder in sessions(results_root())), *runs("")]
