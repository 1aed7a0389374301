# SPDX-License-Identifier: GPL-2.0-only
"""make in an object directory: in a process group of its own, its output in a file, no process left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from lab.errors import BadInput, CommandFailed, DeadlinePassed, FetchFailed, HostTrouble
from lab.host.commands import missing
from lab.host.filecache import MOVE_CACHE
from lab.host.paths import cache_root
from lab.kernels import makelog
from lab.kernels.toolchain import refusal
from lab.units import MIB, Deadline, wait_until

BUILD_LIMIT = timedelta(hours=3)
END_LIMIT = timedelta(seconds=10)
NEARLY_FULL = 8 * MIB  # on a full disk the compiler may be unable to say so
# What a user's shell may hold and a build must not depend on.
_FOREIGN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARCH", "SRCARCH", "CROSS_COMPILE", "LLVM", "KCFLAGS", "KCPPFLAGS", "O")


def environment() -> dict[str, str]:
    """The same for every build: nothing of the host, the user or the time gets into a kernel."""
    ours = {
        "LC_ALL": "C",
        "LOCALVERSION": "",  # else the state of the git tree is appended to the release
        "KBUILD_BUILD_TIMESTAMP": "2026-01-01",
        "KBUILD_BUILD_USER": "lab",
        "KBUILD_BUILD_HOST": "lab",
        "KBUILD_BUILD_VERSION": "1",
        "CCACHE_DIR": str(cache_root() / "ccache"),
        "CCACHE_NOHASHDIR": "1",  # trees of other bases share the objects of equal files
        "CCACHE_SLOPPINESS": "time_macros",
        "CCACHE_MAXSIZE": "8G",
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
    }
    kept = {k: v for k, v in os.environ.items() if k not in _FOREIGN and not k.startswith("KCONFIG_")}
    return kept | ours


def make(
    tree: Path, objects: str, target: str, *, log: Path, on_line: Callable[[str], None], variables: dict[str, str]
) -> None:
    """Run make in `tree` with O=`objects`. Raises BadInput (the source is wrong), FetchFailed, HostTrouble."""
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = ["make", f"-j{len(os.sched_getaffinity(0)) + 1}", f"O={objects}"]
    argv += ["CC=ccache gcc" if shutil.which("ccache") else "CC=gcc", target]
    status, text = _run(argv, tree, log, on_line, variables)
    if status and not _is_explained(text):
        # ccache says nothing when its own disk is full: have the compiler itself say what it cannot do
        status, text = _run(argv, tree, log, on_line, variables | {"CCACHE_DISABLE": "1"})
    if status:
        raise _failure(argv, status, tree, log, text)


def _run(
    argv: list[str], tree: Path, log: Path, on_line: Callable[[str], None], variables: dict[str, str]
) -> tuple[int, str]:
    """Exit status and output."""
    try:
        with log.open("wb") as kept, _group(argv, tree, environment() | variables) as process:
            output = _Output(process, kept, on_line)
            limit = Deadline.after(f"the build in {tree}", BUILD_LIMIT)
            return wait_until(output.step, deadline=limit, pause=timedelta(milliseconds=20)), output.text
    except FileNotFoundError as exc:
        raise missing(argv[0]) from exc


def _is_explained(text: str) -> bool:
    return bool(makelog.errors(text)) or makelog.is_disk_full(text) or makelog.was_killed(text)


class _Output:
    """What make says, as it says it. Kept in memory too: on a full disk the log would lose the line that says so."""

    def __init__(self, process: subprocess.Popen[bytes], log: BinaryIO, on_line: Callable[[str], None]) -> None:
        self.text = ""
        self._process, self._log, self._on_line = process, log, on_line

    def step(self) -> tuple[int | None, object]:
        """Take what is there; the exit status once make has ended."""
        status = self._process.poll()
        data = self._available()
        with contextlib.suppress(OSError):
            self._log.write(data)
            self._log.flush()
        *whole, rest = (self.text.rpartition("\n")[2] + data.decode(errors="replace")).split("\n")
        self.text += data.decode(errors="replace")
        for line in whole:
            self._on_line(line)
        return status, whole[-1] if whole else rest

    def _available(self) -> bytes:
        pipe = self._process.stdout
        return (pipe.read() or b"") if pipe else b""


@contextlib.contextmanager
def _group(argv: list[str], cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a group of its own. However the block ends, no process of it is left when it has."""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        if process.stdout:
            os.set_blocking(process.stdout.fileno(), False)
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets make delete the targets it was at; what does not go is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(DeadlinePassed):
            wait_until(lambda: _ended(process), deadline=Deadline.after("make to end", END_LIMIT))
            return


def _ended(process: subprocess.Popen[bytes]) -> tuple[bool | None, object]:
    process.poll()
    left = members(process.pid)
    return (None if left else True), left


def members(group: int) -> tuple[int, ...]:
    """Living processes of a group; a zombie that somebody else is slow to reap does not count."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, member_of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(member_of) == group and state not in "ZX":
                found.append(int(stat.parent.name))
    return tuple(found)


def _failure(argv: list[str], status: int, tree: Path, log: Path, text: str) -> Exception:
    """Whose fault: the disk, the memory, or the source."""
    if makelog.is_disk_full(text) or shutil.disk_usage(tree).free < NEARLY_FULL:
        return FetchFailed(f"no space left while building in {tree}; what is built so far is kept", hint=MOVE_CACHE)
    if makelog.was_killed(text):
        return HostTrouble("the compiler was killed: too little memory?", hint=f"the whole log: {log}")
    found, known = makelog.errors(text), refusal(text)
    if not found and not known:
        return CommandFailed(argv, status, f"{text}\nthe whole log: {log}")
    more = f"\n  ... and {len(found) - makelog.SHOWN} more" if len(found) > makelog.SHOWN else ""
    told = "".join(f"\n  {line}" for line in found[: makelog.SHOWN])
    why = f" {known}" if known else ""
    return BadInput([f"the source does not build:{why}{told}{more}"], hint=f"the whole log: {log}")
