# SPDX-License-Identifier: GPL-2.0-only
"""The programs that an experiment brings, as a small image of their own beside the guests' userland.

Its key is that of its sources, and of the library and rules that it is built by. No experiment changes the image that
all share, nor the layer of another one.
"""

from __future__ import annotations

import re
from pathlib import Path

from lab.contracts import GuestImage, Progress
from lab.errors import QUOTED, BadInput, CommandFailed
from lab.experiments.found import all_cases
from lab.guestimage.erofs import pack
from lab.guestimage.programs import build, library, programs_key
from lab.host.digests import sealed
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, temporary_folder
from lab.plan.case import Traffic

LAYER = "layer.erofs"
_RECIPE = "1"  # raise it whenever the code below makes something else of the same input

_AT_FAULT = re.compile(r"^([^\s:]+\.\w+):\d+:(?:\d+:)? (?:fatal )?error: |([^\s:/]+\.c):\(\.\w+", re.MULTILINE)
"""A line of gcc's, or of the linker's, with the file that it is about."""
_LINES = 15


def ensure_layer(folder: Path, progress: Progress) -> GuestImage:
    """The layer of a folder of sources; made when one of them has changed.

    Raises BadInput that names the files which do not build, and what make said; HostTrouble.
    """
    if not folder.is_dir():
        raise BadInput([f"{folder}: no such folder of guest programs"], hint="Traffic.programs of its experiment")
    target = cache_root() / "layers" / key_of(_RECIPE, programs_key(folder), programs_key(library()))

    def make(partial: Path) -> None:
        progress(f"building the guest programs of {folder.parent.name}")
        with temporary_folder(partial) as work:
            work.chmod(0o755)
            try:
                build(folder, work)
            except CommandFailed as exc:
                raise BadInput([why_not(folder, exc.output)], hint="docs/extend.md") from exc
            if not any(path.stat().st_mode & 0o111 for path in work.iterdir() if path.is_file()):
                raise BadInput([f"{folder}: make built no program in OUT"], hint="docs/extend.md")
            pack(work, partial / LAYER, target.name)

    made = ensure_sealed(target, make, progress=progress)
    return GuestImage(made / LAYER, sha256=sealed(made)[LAYER], key=made.name)


def layer_of(traffic: Traffic | None, progress: Progress) -> GuestImage | None:
    """What guests need beside the image to make this traffic, None for nothing. Raises as `ensure_layer` does."""
    return ensure_layer(traffic.programs, progress) if traffic and traffic.programs else None


def all_layers(progress: Progress) -> tuple[GuestImage, ...]:
    """Those of all experiments that are known here, each once. Raises as `ensure_layer` does."""
    folders = dict.fromkeys(case.traffic.programs for case in all_cases().values() if case.traffic)
    return tuple(ensure_layer(folder, progress) for folder in folders if folder)


def why_not(folder: Path, said: str) -> str:
    """Which files of an experiment do not build, and the end of what make said. Pure."""
    files = dict.fromkeys(compiled or linked for compiled, linked in _AT_FAULT.findall(said))
    named = f"{', '.join(files)} does not build" if files else "nothing was built"
    tail = "\n".join(said.strip().splitlines()[-_LINES:])[-QUOTED:]
    return f"{folder}: {named}: make failed\n{tail}"
