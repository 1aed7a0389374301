# SPDX-License-Identifier: GPL-2.0-only
"""Where the lab keeps what it makes, and where its own recipes lie."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from lab.errors import BadInput
from lab.host.interrupt import held_back

SUITES = "LAB_SUITES"


def cache_root() -> Path:
    """Kernels, images and keys: made once, safe to delete. `LAB_CACHE` overrides it."""
    chosen = os.environ.get("LAB_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_cache_dir("lab"))


def results_root() -> Path:
    """Bundles of runs: `LAB_RESULTS`, else `results` in the current directory."""
    return Path(os.environ.get("LAB_RESULTS") or "results").expanduser().resolve()


def results_folder(chosen: Path | None = None) -> Path:
    """Where sessions go, or are looked for: as chosen, else `results_root`. Raises BadInput when it is no folder."""
    folder = (chosen.expanduser() if chosen else results_root()).resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise BadInput([f"--results {folder}: {there} is no folder"], hint="--results FOLDER, or LAB_RESULTS=FOLDER")
    return folder


def archives_file() -> Path:
    """The user's own rows for the table of archives: `LAB_ARCHIVES`, else in the user's configuration."""
    chosen = os.environ.get("LAB_ARCHIVES")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_config_dir("lab")) / "archives.toml"


def project_root() -> Path:
    """Where `images/`, `playbooks/` and `suites/` lie, beside the package: the checkout, or where a wheel put them."""
    return Path(__file__).resolve().parents[2]


def suites_dir() -> Path:
    """Where suites and the scripts of cases lie."""
    return project_root() / "suites"


def named_suites() -> tuple[Path, ...]:
    """Folders of experiments outside of this checkout: `LAB_SUITES`, with colons between them."""
    named = filter(None, os.environ.get(SUITES, "").split(":"))
    return tuple(dict.fromkeys(Path(name).expanduser().resolve() for name in named))


def name_suite(folder: Path) -> None:
    """Have this process, and those it starts, know the experiment of a folder."""
    os.environ[SUITES] = ":".join(map(str, dict.fromkeys((*named_suites(), folder.expanduser().resolve()))))


def runtime_root() -> Path:
    """Where private directories lie: `LAB_RUNTIME`, else /tmp."""
    return Path(os.environ.get("LAB_RUNTIME") or "/tmp").absolute()  # noqa: S108


def runtime_dir() -> Path:
    """A short private directory for sockets and libvirt state (AF_UNIX paths end at 108 bytes)."""
    return Path(tempfile.mkdtemp(prefix="lab-", dir=runtime_root()))


@contextlib.contextmanager
def temporary_folder(within: Path | None = None) -> Iterator[Path]:
    """A folder that goes with the block, even when a signal comes while it is being made or removed."""

    def remove() -> None:
        with held_back():
            made.cleanup()

    with contextlib.ExitStack() as stack:
        with held_back():
            made = tempfile.TemporaryDirectory(prefix="lab-", dir=within)
            stack.callback(remove)
        yield Path(made.name)
