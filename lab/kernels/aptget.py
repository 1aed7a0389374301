# SPDX-License-Identifier: GPL-2.0-only
"""apt-get, watched while it works. It changes nothing of the host: it downloads, or reads lists into the cache."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from lab.errors import CommandFailed
from lab.host.commands import missing
from lab.units import Deadline, wait_until


def apt_get(words: Sequence[str], *, work: Path, deadline: Deadline, seen: Callable[[], str]) -> None:
    """`apt-get WORDS` in the directory `work`, where its output goes to `log`.

    Raises CommandFailed, DeadlinePassed with what `seen` said last, and HostTrouble when there is no apt-get.
    """
    argv = ["apt-get", "-q", *words]
    log = work / "log"
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(argv, cwd=work, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        except FileNotFoundError as exc:
            raise missing(argv[0]) from exc
        with process:
            try:
                status = wait_until(
                    lambda: (process.poll(), seen()), deadline=deadline, pause=timedelta(milliseconds=250)
                )
            except BaseException:
                process.terminate()
                raise
    if status:
        raise CommandFailed(argv, status, log.read_text(errors="replace"))
