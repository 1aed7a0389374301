# SPDX-License-Identifier: GPL-2.0-only
"""Run a command of this host; a failure carries the command line and the tail of its output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.errors import CommandFailed, HostTrouble


def run(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, data: bytes = b""
) -> bytes:
    """Standard output of a command that reads `data`. Raises CommandFailed, and HostTrouble when there is no such
    command."""
    try:
        done = subprocess.run(argv, cwd=cwd, env=_environment(env), input=data, capture_output=True, check=False)
    except FileNotFoundError as exc:
        raise missing(argv[0]) from exc
    if done.returncode:
        raise CommandFailed(argv, done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
    return done.stdout


def follow(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command and hand over each line of its output (both streams) as it comes. Raises as `run` does."""
    said: list[str] = []
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as exc:
        raise missing(argv[0]) from exc
    with process:
        try:
            for line in process.stdout or ():
                said.append(line)
                on_line(line.rstrip("\n"))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise CommandFailed(argv, process.returncode, "".join(said))


def missing(command: str) -> HostTrouble:
    """The error for a command that this host does not have."""
    return HostTrouble(f"this host has no command `{command}`", hint="make setup (it installs what the lab needs)")


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Ours, untranslated, with the places of system tools that an ordinary user's PATH may lack."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{path}:/usr/sbin:/sbin", **(extra or {})}
