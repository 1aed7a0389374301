# SPDX-License-Identifier: GPL-2.0-only
"""Builds selftests outside of their source tree, statically, and packs what a guest needs to run one.

Nothing is written into the source: `make` is told another place for the kernel's headers and for the programs. Linked
statically, a program runs in the guests whatever libraries this host has.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, HostTrouble
from lab.host.commands import follow, run
from lab.host.filecache import locked
from lab.host.paths import temporary_folder
from suites.selftests.find import Chosen, Collection
from suites.selftests.source import SourceTree
from suites.selftests.table import SELFTESTS, Selftest

DISK_MIB = 256
BY_LINE = """#include <stdio.h>
__attribute__((constructor)) static void by_line(void) { setvbuf(stdout, NULL, _IOLBF, 0); }
"""
"""What run_kselftest.sh gets from stdbuf(1), which cannot reach a static program. Without it a test that forks says the
lines in its buffer once for each child, and one that is killed says nothing."""

_LIBRARIES = ("kselftest",)
_NET_LIBRARIES = ("net/lib", "net/lib.sh", "net/net_helper.sh")
_NET_TREES = ("tools/net/ynl/lib", "Documentation/netlink/specs")
"""drivers/net and the Python tests of net read the netlink specs through ynl, at these places of the tree."""


def ensure_headers(source: SourceTree, progress: Progress) -> Path:
    """The kernel's headers for user space, made by its own Makefile. Raises HostTrouble."""
    out = source.objects / "headers"
    with locked(source.objects, progress=progress):
        progress("kernel headers")
        out.mkdir(parents=True, exist_ok=True)
        try:
            run(["make", "-s", "-C", str(source.root), f"O={out}", "headers"])
        except CommandFailed as exc:
            raise HostTrouble(f"the headers of {source.root} cannot be made: {exc.message}") from exc
    return out / "usr/include"


def build(chosen: Chosen, source: SourceTree, headers: Path, progress: Progress) -> str:
    """Build what the test needs; why it could not be built, "" when it was."""
    wanted = _programs(chosen)
    if not wanted:
        return ""
    out = _out(source, chosen.collection)
    with locked(source.objects, progress=progress):
        progress(f"building {', '.join(wanted)}")
        out.mkdir(parents=True, exist_ok=True)
        by_line = _compiled(BY_LINE, source.objects / "by-line.o")
        try:
            follow(
                [
                    "make",
                    "-C",
                    str(chosen.collection.folder),
                    f"OUTPUT={out}",
                    f"KHDR_INCLUDES=-isystem {headers}",
                    f"USERLDFLAGS=-static {by_line}",
                    *(str(out / program) for program in wanted),
                ],
                on_line=lambda _line: None,
            )
        except CommandFailed as exc:
            return f"{', '.join(wanted)} cannot be built: {_complaint(exc.output)}"
    return ""


def pack(chosen: Chosen, source: SourceTree, tools: Mapping[str, str]) -> bytes:
    """A tar archive of the test as it lies in its tree, with `tools` (name: script) in bin/."""
    with temporary_folder() as stage:
        _stage_test(chosen, source, stage)
        (stage / "bin").mkdir()
        for name, script in tools.items():
            (stage / "bin" / name).write_text(script)
            (stage / "bin" / name).chmod(0o755)
        if chosen.test.disk:
            _make_disk(stage / "disk.ext2")
        return run(["tar", "-c", "-z", "-S", "-C", str(stage), "."])


def cases_of(test: Selftest, collection: Collection) -> tuple[str, ...]:
    """The cases that the source lists, for a test that announces no plan. Raises HostTrouble when it lists none."""
    if test.cases is None:
        return ()
    file, pattern = test.cases
    path = collection.folder / file
    found = re.findall(pattern, path.read_text(), re.MULTILINE) if path.is_file() else []
    if not found:
        raise HostTrouble(f"{path} lists no case of {test.name}; the table of selftests does not fit this source")
    return tuple(found)


def _programs(chosen: Chosen) -> tuple[str, ...]:
    """The test, if it has to be compiled, and compiled programs that its row or, by name, its script asks for."""
    generated, test = chosen.collection.generated, chosen.test
    script = chosen.collection.folder / test.program
    words = set()
    if test.program not in generated and script.is_file():
        words = set(re.findall(r"[\w.-]+", script.read_text(errors="replace")))
    asked = {test.program, *test.programs, *words}
    return tuple(program for program in generated if program in asked)


def _out(source: SourceTree, collection: Collection) -> Path:
    return source.objects / "objects" / collection.name


def _compiled(text: str, target: Path) -> Path:
    program = target.with_suffix(".c")
    program.write_text(text)
    run(["gcc", "-c", "-o", str(target), str(program)])
    return target


def _complaint(output: str) -> str:
    lines = output.strip().splitlines()
    return next((line.strip() for line in lines if "error" in line.lower()), lines[-1] if lines else "it says nothing")


def _stage_test(chosen: Chosen, source: SourceTree, stage: Path) -> None:
    collection, root = chosen.collection, stage / SELFTESTS
    here = root / collection.name
    here.mkdir(parents=True)
    kept = ("TEST_PROGS", "TEST_PROGS_EXTENDED", "TEST_FILES")
    for name in (*(f for kind in kept for f in collection.variables[kind]), "config", "settings"):
        _copy(collection.folder / name, here / name)
    for program in _programs(chosen):
        _copy(_out(source, collection) / program, here / program)
    for include in collection.variables["TEST_INCLUDES"]:
        path = (collection.folder / include).resolve()
        if path.is_relative_to(source.selftests):
            _copy(path, root / path.relative_to(source.selftests))
    net = collection.name.split("/")[0] == "net" or collection.name.startswith("drivers/net")
    for library in (*_LIBRARIES, *(_NET_LIBRARIES if net else ())):
        _copy(source.selftests / library, root / library)
    for tree in _NET_TREES if net else ():
        _copy(source.root / tree, stage / tree)
    _executable(here / chosen.test.program)


def _copy(path: Path, target: Path) -> None:
    """A file or a folder, when it is there; what links point to instead of links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.c", "*.o", "__pycache__"))
    elif path.is_file():
        shutil.copy(path, target)


def _executable(path: Path) -> None:
    if path.is_file():
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _make_disk(path: Path) -> None:
    """An empty file system in a sparse file; the guest has no tool to make one."""
    with path.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    run(["mkfs.ext2", "-q", "-F", str(path)])
