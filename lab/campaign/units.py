# SPDX-License-Identifier: GPL-2.0-only
"""Units of systemd for a nightly: a timer, its service, and one that goes on with a night that a reboot cut off."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.host.paths import cache_root, project_root
from lab.host.records import write_whole

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
GRACE = 600
"""Seconds that a night may take to tidy up when its time is over."""


@dataclass(frozen=True)
class Installed:
    """What was written, and the commands that start it and undo it."""

    files: tuple[Path, ...]
    start: tuple[str, ...]
    undo: tuple[str, ...]


def unit_folder() -> Path:
    """Where a user's own units lie: systemd.unit(5)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def install(path: Path, root: Path, hours: float, at: str, options: Sequence[str] = ()) -> Installed:
    """Write the units, which call `lab nightly` with these options; nothing is started. Raises BadInput."""
    if not _TIME.fullmatch(at):
        raise BadInput([f"--at {at!r}: a time is wanted, as 01:30"])
    for what in (path, root, sys.executable, *options):
        if "\n" in str(what) or not str(what).isprintable():
            raise BadInput([f"{str(what)!r}: a unit of systemd cannot name that"])
    name = f"lab-nightly-{path.stem}"
    folder = unit_folder()
    texts = {
        f"{name}.service": _service(f"lab nightly {path.stem}", path, root, hours, options),
        f"{name}-resume.service": _service(
            f"lab nightly {path.stem}, cut off", path, root, hours, (*options, "--resume")
        )
        + "\n[Install]\nWantedBy=default.target\n",
        f"{name}.timer": _timer(path.stem, at),
    }
    for file, text in texts.items():
        write_whole(folder / file, text.encode())
    files = tuple(folder / file for file in texts)
    enable = f"systemctl --user enable --now {name}.timer"
    start = (
        "systemctl --user daemon-reload",
        enable,
        f"systemctl --user enable {name}-resume.service",
        f"loginctl enable-linger {os.environ.get('USER', '$USER')}",
    )
    undo = (
        f"systemctl --user disable --now {name}.timer {name}-resume.service",
        f"rm {' '.join(map(str, files))}",
        "systemctl --user daemon-reload",
    )
    return Installed(files, start, undo)


def _service(what: str, path: Path, root: Path, hours: float, options: Sequence[str]) -> str:
    """Exit status 1 is news, not trouble. What is left of a night that was killed goes on at once, three times."""
    words = [sys.executable, "-P", "-m", "lab", "nightly", str(path), "--results", str(root), *options]
    command = " ".join(map(_quoted, words))
    environment = "".join(
        f"Environment={_quoted(f'{key}={value}')}\n"
        for key, value in (("LAB_CACHE", str(cache_root())), ("PYTHONPATH", str(project_root())))
    )
    return f"""\
[Unit]
Description={what}
StartLimitIntervalSec=86400
StartLimitBurst=4

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={_escaped(str(path.parent))}
{environment}SuccessExitStatus=1
Restart=on-abnormal
RestartSec=60
KillMode=mixed
TimeoutStopSec={GRACE}
RuntimeMaxSec={int(hours * 3600) + GRACE}
Nice=10
"""


def _timer(name: str, at: str) -> str:
    """A night that the host slept through begins when it wakes."""
    return f"""\
[Unit]
Description=lab nightly {name}

[Timer]
OnCalendar=*-*-* {at}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line as systemd.service(5) reads it: `%` and `$` are its own."""
    clean = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{clean}"'
