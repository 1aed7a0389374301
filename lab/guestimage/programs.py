# SPDX-License-Identifier: GPL-2.0-only
"""The lab's own guest programs, built from images/guest."""

from __future__ import annotations

from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, HostTrouble
from lab.host.commands import run
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, project_root


def sources() -> Path:
    return project_root() / "images" / "guest"


def ensure_programs(progress: Progress) -> Path:
    """Directory with the static programs; made anew when a source has changed. Raises HostTrouble."""
    here = sources()

    def make(partial: Path) -> None:
        progress("building the guest programs")
        try:
            run(["make", "-s", "-C", str(here), f"OUT={partial}"])
        except CommandFailed as exc:
            raise HostTrouble(f"the guest programs do not build: {exc.message}", hint="make setup") from exc

    return ensure_sealed(programs_dir(), make, progress=progress)


def programs_dir() -> Path:
    """Where the programs built from today's sources lie; complete when it exists."""
    return cache_root() / "programs" / programs_key(sources())


def programs_key(here: Path) -> str:
    """Of every source, header and Makefile."""
    files = sorted(p for p in here.iterdir() if p.suffix in (".c", ".h") or p.name == "Makefile")
    return key_of(*(part for p in files for part in (p.name, p.read_bytes())))
