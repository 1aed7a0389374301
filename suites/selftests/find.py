# SPDX-License-Identifier: GPL-2.0-only
"""Which selftests a user means: a directory below tools/testing/selftests, or one test in it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from lab.errors import BadInput, CommandFailed
from lab.host.commands import run
from suites.selftests.source import SourceTree
from suites.selftests.table import SELFTEST_ROWS, SELFTESTS, Selftest, row_for

_VARIABLES = ("TEST_PROGS", "TEST_CUSTOM_PROGS", "TEST_GEN_PROGS", "TEST_PROGS_EXTENDED", "TEST_GEN_PROGS_EXTENDED")
_BESIDE = ("TEST_FILES", "TEST_GEN_FILES", "TEST_INCLUDES")
_NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
RUN_BY_DEFAULT = ("TEST_PROGS", "TEST_CUSTOM_PROGS", "TEST_GEN_PROGS")


@dataclass(frozen=True)
class Collection:
    """One directory of selftests, as its Makefile describes it: file names by the variables of kselftest's lib.mk."""

    name: str
    folder: Path
    variables: dict[str, tuple[str, ...]]
    timeout: int | None

    @property
    def tests(self) -> tuple[str, ...]:
        """What `make run_tests` runs."""
        return tuple(dict.fromkeys(t for v in RUN_BY_DEFAULT for t in self.variables[v]))

    @property
    def known(self) -> tuple[str, ...]:
        """What can be run by name: helpers have to be told how, so only those with a row of their own."""
        listed = (row.program for row in SELFTEST_ROWS.values() if row.directory == self.name)
        extended = (t for v in _VARIABLES for t in self.variables[v])
        present = {*extended, *self.variables["TEST_GEN_FILES"]}
        return tuple(dict.fromkeys([*self.tests, *extended, *(p for p in listed if p in present)]))

    @property
    def generated(self) -> tuple[str, ...]:
        """What has to be compiled."""
        kinds = ("TEST_GEN_PROGS", "TEST_GEN_PROGS_EXTENDED", "TEST_GEN_FILES", "TEST_CUSTOM_PROGS")
        return tuple(dict.fromkeys(p for kind in kinds for p in self.variables[kind]))


@dataclass(frozen=True)
class Chosen:
    """A test to be run, and the collection that it comes from."""

    test: Selftest
    collection: Collection


def choose(names: Sequence[str], source: SourceTree) -> tuple[Chosen, ...]:
    """The tests meant by directories (`cgroup`) and names (`net/msg_zerocopy`, with or without its suffix).

    Raises BadInput with all problems.
    """
    problems = unsound(names)
    found: list[Chosen] = []
    for name in (name for name in names if not unsound([name])):
        found += _chosen(_below(name), source, problems)
    if problems:
        raise BadInput(problems, hint=f"lab selftest DIR [DIR/TEST...]; directories are those of {source.selftests}")
    return tuple({chosen.test.name: chosen for chosen in found}.values())


def unsound(names: Sequence[str]) -> list[str]:
    """A problem for each name that means nothing in any source; which directories there are, only a source can say."""
    unfit = (name for name in map(_below, names) if not _NAME.fullmatch(name) or {".", ".."} & {*name.split("/")})
    return [f"{name!r}: not a name below {SELFTESTS}" for name in unfit]


def _below(name: str) -> str:
    return name.rstrip("/").removeprefix(f"{SELFTESTS}/")


def _chosen(name: str, source: SourceTree, problems: list[str]) -> list[Chosen]:
    if (source.selftests / name / "Makefile").is_file():
        collection = _read(source, name, problems)
        if collection is not None and not collection.tests:
            problems.append(f"{name}: its Makefile names no test")
        return [_choice(collection, test) for test in collection.tests] if collection else []
    directory, _, test = name.rpartition("/")
    if not (source.selftests / directory / "Makefile").is_file() or not directory:
        problems.append(_unknown_directory(name, directory or name, source))
        return []
    collection = _read(source, directory, problems)
    if collection is None:
        return []
    known = collection.known
    fitting = [t for t in known if t == test] or [t for t in known if PurePosixPath(t).stem == test]
    if len(fitting) != 1:
        near = fitting or difflib.get_close_matches(test, known, n=3, cutoff=0.5)
        close = f"; close: {', '.join(f'{directory}/{t}' for t in near)}" if near else ""
        problems.append(f"{name}: {directory} has no test {test!r}{close}")
        return []
    return [_choice(collection, fitting[0])]


def _choice(collection: Collection, test: str) -> Chosen:
    return Chosen(row_for(f"{collection.name}/{test}", collection.timeout), collection)


def _unknown_directory(name: str, directory: str, source: SourceTree) -> str:
    if (source.selftests / directory).is_dir():
        return f"{name}: {source.selftests / directory} has no Makefile"
    near = difflib.get_close_matches(directory, _directories(source.selftests), n=3, cutoff=0.5)
    return f"{name}: there is no directory {directory!r}" + (f"; close: {', '.join(near)}" if near else "")


@cache
def _directories(selftests: Path) -> tuple[str, ...]:
    return tuple(sorted(str(m.parent.relative_to(selftests)) for m in selftests.rglob("Makefile")))


def _read(source: SourceTree, name: str, problems: list[str]) -> Collection | None:
    try:
        return read_collection(source, name)
    except CommandFailed as exc:
        problems.append(f"{name}: its Makefile cannot be read: {exc.output.strip().splitlines()[-1:] or exc.message}")
        return None


def read_collection(source: SourceTree, name: str) -> Collection:
    """Ask the directory's own Makefile. Raises CommandFailed."""
    variables = (*_VARIABLES, *_BESIDE)
    told = " ".join(f'"{v}=$(strip $({v}))"' for v in variables)
    out = source.objects / "objects" / name
    argv = ["make", "-s", "-C", str(source.selftests / name), f"OUTPUT={out}"]
    text = run([*argv, f"--eval=lab-lists: ; @printf '%s\\n' {told}", "lab-lists"]).decode()
    values = dict(line.split("=", 1) for line in text.splitlines() if line.partition("=")[0] in variables)
    lists = {
        v: tuple(os.path.relpath(p, out) if p.startswith(str(out)) else p for p in values.get(v, "").split())
        for v in variables
    }
    return Collection(name, source.selftests / name, lists, _timeout(source.selftests / name / "settings"))


def _timeout(settings: Path) -> int | None:
    if not settings.is_file():
        return None
    values = [line.partition("=")[2].strip() for line in settings.read_text().splitlines() if line[:8] == "timeout="]
    return int(values[-1]) if values and values[-1].isdigit() else None
