# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU plugin that counts a guest's instructions, built from images/qemu on the host whose QEMU loads it."""

from __future__ import annotations

from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, HostTrouble
from lab.host.commands import run
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root, project_root

FIRST_WITHOUT = 9
"""QEMU 9.0 no longer serves version 1 of the plugin API, which ours speaks (images/qemu/plugin-api.h)."""


def cannot_count(qemu_version: str, accelerator: str) -> str:
    """Why instructions cannot be counted here; "" when they can."""
    if accelerator != "tcg":
        return f"under {accelerator} nobody counts a guest's instructions; --accel tcg"
    if int(qemu_version.split(".", maxsplit=1)[0]) >= FIRST_WITHOUT:
        return f"the counting plugin needs a QEMU before {FIRST_WITHOUT}, this host has {qemu_version}"
    return ""


def ensure_plugin(progress: Progress) -> Path:
    """The plugin; made anew when a source has changed. Raises HostTrouble."""
    images = project_root() / "images"
    sources = [*sorted((images / "qemu").iterdir()), images / "guest" / "lib" / "count-mark.h"]
    files = [path for path in sources if path.suffix in (".c", ".h") or path.name == "Makefile"]
    key = key_of(*(part for path in files for part in (path.name, path.read_bytes())))

    def make(partial: Path) -> None:
        progress("building the counting plugin")
        try:
            run(["make", "-s", "-C", str(images / "qemu"), f"OUT={partial}"])
        except CommandFailed as exc:
            raise HostTrouble(f"the counting plugin does not build: {exc.message}", hint="make setup") from exc

    return ensure_sealed(cache_root() / "plugins" / key, make, progress=progress) / "lab-insn.so"
