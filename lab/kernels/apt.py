# SPDX-License-Identifier: GPL-2.0-only
"""What the package manager says about kernel packages. Works for ordinary users; installs nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from lab.errors import CommandFailed
from lab.host.commands import run
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from lab.host.records import load_record, write_record
from lab.kernels import packages
from lab.kernels.deb import Deb
from lab.kernels.packages import Listed, Offer

T = TypeVar("T")

_PLACES = {"lists": "Dir::State::lists/d", "main": "Dir::Etc::sourcelist/f", "parts": "Dir::Etc::sourceparts/d"}


def offers() -> tuple[Offer, ...]:
    """Every kernel that the host's own lists offer, the newest version of each."""
    return packages.offers_of(_host())


def source_packages(package: str) -> tuple[Deb, ...]:
    """Every version in the host's lists of a package, oldest first; none when there is no such package."""
    known = _host() if packages.is_wanted(package) else packages.parse(show(package))
    return packages.sources_of(known, package)


def show(*names: str, config: Path | None = None) -> str:
    """What apt has on packages, "" where it knows none of these names. Raises CommandFailed.

    apt keeps what it has parsed, and sees when its lists have changed; images for containers turn that off. Without it
    every call parses all lists anew: 0.9 s of CPU time instead of 0.3.
    """
    kept = cache_root() / "apt" / "pkgcache.bin"
    with contextlib.suppress(OSError):  # apt does without it
        kept.parent.mkdir(parents=True, exist_ok=True)
    words = ["-c", str(config)] if config else ["-o", f"Dir::Cache::pkgcache={kept}"]
    try:
        return run(["apt-cache", *words, "show", *names]).decode(errors="replace")
    except CommandFailed as exc:
        if "No packages found" in exc.output:
            return ""
        raise


def wanted_packages(config: Path | None = None) -> tuple[Listed, ...]:
    """The packages of kernels and of their sources that an apt knows, the host's or that of a configuration."""
    return tuple(p for p in packages.parse(show(*packages.WANTED, config=config)) if packages.is_wanted(p.package))


def quietly(path: Path, shape: Callable[[dict[str, Any]], T]) -> T | None:
    """What `shape` makes of a record that is made again where it is missing or damaged; then None."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return shape(load_record(path))
    return None


def _host() -> tuple[Listed, ...]:
    """The kernel packages in the host's lists, remembered until a list or a source changes.

    To have apt look them up takes 0.3 s of CPU time: it unpacks its lists for it.
    """
    record, key = cache_root() / "apt" / "host.json", _state_of_lists()
    known = quietly(record, lambda facts: packages.listed(facts["packages"]) if facts["key"] == key else None)
    if known is not None:
        return known
    found = wanted_packages()
    with contextlib.suppress(OSError):
        write_record(record, {"key": key, "packages": [asdict(p) for p in found]})
    return found


def _state_of_lists() -> str:
    """Changes with every list and source of the host."""
    words = [word for pair in _PLACES.items() for word in pair]
    told = run(["apt-config", "shell", *words]).decode(errors="replace")
    places = [line.partition("=")[2].strip("'") for line in told.splitlines()]
    return key_of(told, *(line for place in places for line in _files(Path(place))))


def _files(place: Path) -> list[str]:
    """Names, sizes and times of the files that stand there; lists that are being fetched lie in a folder below."""
    found = []
    with contextlib.suppress(OSError):
        for entry in [*os.scandir(place)] if place.is_dir() else []:
            if entry.is_file():
                seen = entry.stat()
                found.append(f"{entry.path} {seen.st_size} {seen.st_mtime_ns}")
    if place.is_file():
        seen = place.stat()
        found.append(f"{place} {seen.st_size} {seen.st_mtime_ns}")
    return sorted(found)
