# SPDX-License-Identifier: GPL-2.0-only
"""Guest programs, built from C: the lab's own of images/guest, and those that an experiment brings."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, HostTrouble
from lab.host.commands import missing, run
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, project_root

_BUILT = "build"
"""Where a Makefile puts what somebody made by hand, beside the sources."""


def sources() -> Path:
    """The lab's own."""
    return project_root() / "images" / "guest"


def library() -> Path:
    """What all programs may call, and the rules that they are built by."""
    return sources() / "lib"


def ensure_programs(progress: Progress) -> Path:
    """Directory with the lab's own static programs; made anew when a source has changed. Raises HostTrouble."""

    def make(partial: Path) -> None:
        progress("building the guest programs")
        try:
            build(sources(), partial)
        except CommandFailed as exc:
            raise HostTrouble(f"the guest programs do not build: {exc.message}", hint="make setup") from exc

    return ensure_sealed(programs_dir(), make, progress=progress)


def build(here: Path, out: Path) -> None:
    """Have make build a folder of sources, as far as that can be done. Raises CommandFailed, HostTrouble."""
    if shutil.which("gcc") is None:
        raise missing("gcc")
    rules = () if (here / "Makefile").is_file() else ("-f", str(library() / "program.mk"))
    run(["make", "-s", "-k", "-C", str(here), *rules, f"LAB={library()}", f"OUT={out}"])
    for left in out.glob(".*"):  # objects, and the library
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def programs_dir() -> Path:
    """Where the programs built from today's sources lie; complete when it exists."""
    return cache_root() / "programs" / programs_key(sources())


def programs_key(*folders: Path) -> str:
    """Of every file in them that is not hidden, and was not built there by hand."""
    return key_of(*(part for here in folders for path in _files(here) for part in _told(here, path)))


def _told(here: Path, path: Path) -> tuple[str, bytes]:
    return str(path.relative_to(here)), path.read_bytes()


def _files(here: Path) -> list[Path]:
    found = ((path, path.relative_to(here).parts) for path in here.rglob("*") if path.is_file())
    return sorted(path for path, parts in found if parts[0] != _BUILT and not any(p.startswith(".") for p in parts))
