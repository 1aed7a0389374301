# SPDX-License-Identifier: GPL-2.0-only
"""Selftests lie in the source of the kernel: the cases that a user means, and what is built of each for a guest.

Tests without a row of the table are cases as well, by their name alone; see `row_for`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.contracts import BootableKernel, Progress
from lab.errors import BadInput
from lab.experiments.contract import Asked
from lab.plan.nics import NICS
from lab.verdict.case import Case
from suites.selftests.case import case_of
from suites.selftests.commands import TOOLS
from suites.selftests.table import row_for

if TYPE_CHECKING:
    from suites.selftests.find import Chosen
    from suites.selftests.source import SourceTree

NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)+")
"""A directory below tools/testing/selftests, and a program in it."""

SOURCE, TIMEOUT = "source", "timeout"
"""Options of `lab selftest`."""

ARCHIVE = "test.tar.gz"
BROUGHT = "brought.json"


class More:
    """What the general rooms ask of this experiment; see lab.experiments.contract."""

    command = "lab selftest"

    def named(self, name: str) -> Case | None:
        parts = name.split("/")
        return case_of(row_for(name, None)) if NAME.fullmatch(name) and not {".", ".."} & {*parts} else None

    def chosen(self, asked: Asked, progress: Progress) -> Sequence[str]:
        from suites.selftests.find import choose, unsound

        problems, hint = unsound(asked.names), "lab selftest --help"
        found: Sequence[Chosen] = ()
        if _seconds(asked.options) < 0:
            problems.append("--timeout takes a positive number of seconds")
        if problems and not asked.options.get(SOURCE):
            raise BadInput(problems, hint=hint)  # before the source of a kernel is fetched
        try:
            (kernel,) = asked.kernels or ("newest",)
            found = choose(asked.names, _tree(kernel, asked.options, progress))
        except BadInput as exc:
            problems, hint = [*problems, *exc.problems], exc.hint
        if not problems:
            problems = _unfit([nic for nic in asked.nics if nic in NICS], found)
        if problems:
            raise BadInput(problems, hint=hint)
        return tuple(dict.fromkeys(each.test.name for each in found))

    def bring(
        self, case: Case, kernel: BootableKernel, options: Mapping[str, str], folder: Path, progress: Progress
    ) -> str:
        """The test as it lies in its tree, packed, and what a guest cannot know of it."""
        from suites.selftests.build import build, cases_of, ensure_headers, pack
        from suites.selftests.find import choose
        from suites.selftests.record import Brought

        tree = _tree(kernel.asked or kernel.name, options, progress)
        (chosen,) = choose([case.name], tree)
        headers = ensure_headers(tree, progress)
        complaint = build(chosen, tree, headers, progress)
        progress(f"{case.name}: packing")
        if not complaint:
            (folder / ARCHIVE).write_bytes(pack(chosen, tree, TOOLS))
        config = chosen.collection.folder / "config"
        brought = Brought(
            source=str(tree.root),
            source_version=tree.version,
            seconds=_seconds(options) or chosen.test.seconds,
            cases=cases_of(chosen.test, chosen.collection),
            asked=config.read_text() if config.is_file() else "",
            built=complaint,
        )
        (folder / BROUGHT).write_text(brought.model_dump_json(indent=1))
        fits = tree.fits(kernel.release)
        return "" if fits else f"note: {tree.root} is Linux {tree.version}, the kernel is {kernel.release}"


def _seconds(options: Mapping[str, str]) -> int:
    return int(options.get(TIMEOUT) or 0)


def _tree(kernel: str, options: Mapping[str, str], progress: Progress) -> SourceTree:
    """The source that the user names, else that of the kernel."""
    from suites.selftests.source import source_tree

    if options.get(SOURCE):
        return source_tree(Path(options[SOURCE]))
    from lab.kernels.export import ensure_selftest_source

    return source_tree(ensure_selftest_source(kernel, progress))


def _unfit(nics: Sequence[str], chosen: Sequence[Chosen]) -> list[str]:
    """Profiles that cannot give tests of two machines what they need."""
    from lab.provision.qemu import cannot_run, installed_qemu

    names = ", ".join(each.test.name for each in chosen if each.test.pair)
    problems: list[str] = []
    for nic in map(NICS.__getitem__, nics if names else ()):
        if problem := cannot_run(nic, installed_qemu()):
            problems.append(f"NIC profile {nic.name} cannot run here: {problem}")
        elif nic.link == "none":
            problems.append(f"--nic {nic.name} has one machine, and {names} needs two")
    return problems
