# SPDX-License-Identifier: GPL-2.0-only
"""Private folders: what a command keeps to itself while it has guests, and who ends all of it when that is killed.

Each has a guardian, a process (lab.provision.guardian) that holds the end of a pipe whose other end is its owner's
alone. However the owner dies, the guardian reads the end of file, and tidies up. Where both were killed, the next
command that makes a private folder does it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import HostTrouble
from lab.host.interrupt import held_back
from lab.host.paths import runtime_dir, runtime_root
from lab.host.workers import at_work, identity, living
from lab.provision.sweep import COOKIE, tidy

OWNER = "owner.json"
GUARDIAN = "guardian"
RECORD_LIMIT = 4096


@dataclass
class Private:
    """A folder, and the guardian that waits for this process's end."""

    folder: Path
    guardian: subprocess.Popen[bytes]
    before: str | None

    def close(self) -> None:
        """End all that belongs to it. The guardian has nothing to do after that."""
        with held_back():
            tidy(self.folder)
            self.guardian.kill()
            self.guardian.communicate()
            if self.before is None:
                os.environ.pop(COOKIE, None)
            else:
                os.environ[COOKIE] = self.before


def private_folder(at_the_end: Callable[[Callable[[], None]], object]) -> Path:
    """Create the session's runtime folder, and register its cleanup with `at_the_end`; no signal comes in between.

    First sweeps what killed commands have left. Raises HostTrouble.
    """
    for folder in abandoned(runtime_root()):
        print(f"lab: tidying up after a command that was killed: {folder}", file=sys.stderr)
        tidy(folder)
    with held_back():
        folder = runtime_dir()
        try:
            (folder / OWNER).write_text(json.dumps(_record(folder)))
            guardian = _guardian(folder)
        except OSError as exc:
            tidy(folder)
            raise HostTrouble(f"cannot make a private folder: {exc.strerror}: {exc.filename or folder}") from exc
        made = Private(folder, guardian, os.environ.get(COOKIE))
        os.environ[COOKIE] = str(folder)
        at_the_end(made.close)
    return folder


def _guardian(folder: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, and with nothing of ours in its hands but the pipe: what ends us does not end it."""
    env = {name: value for name, value in os.environ.items() if name != COOKIE}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lab.provision.guardian", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )


# -- what was left by those who were killed ------------------------------------------------------------------------


def abandoned(root: Path) -> list[Path]:
    """Private folders of this user whose owner is gone, and that nobody else looks after."""
    return [path for path in sorted(root.glob("lab-*")) if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    """Only where its record proves that it was ours; in doubt it stays."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        told = path.lstat()
        if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.geteuid() or stat.S_IMODE(told.st_mode) & 0o022:
            return False
        said, here = _read(path / OWNER), _record(path)
        if (said.get("folder"), said.get("host")) != (here["folder"], here["host"]):
            return False
        if said.get("boot") != here["boot"]:
            return True  # nothing lives that long
        if said.get("pids") != here["pids"]:
            return False  # another container's: its pids mean nothing here
        guardian = path / GUARDIAN
        cared = living(guardian.read_text()) if guardian.is_file() else 0
        return not (living(str(said.get("owner"))) or cared or at_work(path))
    return False


def _record(folder: Path) -> dict[str, str]:
    return {
        "folder": str(folder),
        "owner": identity(os.getpid()),
        "host": os.uname().nodename,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pids": os.readlink("/proc/self/ns/pid"),
    }


def _read(path: Path) -> dict[str, object]:
    """Raises OSError, ValueError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        told = json.loads(os.read(handle, RECORD_LIMIT))
    finally:
        os.close(handle)
    return told if isinstance(told, dict) else {}
