# SPDX-License-Identifier: GPL-2.0-only
"""The package lists of other suites: read when asked for, remembered, and never a reason for anything else to fail."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, DeadlinePassed
from lab.host.commands import run
from lab.host.filecache import locked
from lab.host.records import write_record
from lab.kernels import apt, packages
from lab.kernels.aptget import apt_get
from lab.kernels.archives import archives, configure, folder_of
from lab.kernels.deb import Deb
from lab.kernels.packages import Listed, Offer
from lab.text.words import one_line
from lab.units import Deadline, mib

DEBIAN = "http://deb.debian.org/debian"
OLD = timedelta(days=1)
"""A list that lacks what was asked for is read again after this."""
AGAIN = timedelta(minutes=10)
"""An archive that could not be read is tried again, unasked, after this."""
_FETCHING = re.compile(r"Failed to fetch \S+ +")
_READ_LIMIT = timedelta(minutes=10)


@dataclass(frozen=True)
class Listing:
    """What one archive offered when its list was read last.

    read   seconds since the epoch, 0: never;  tried  the same of the last attempt
    dated  the day its list is of;  trouble  why the last attempt failed, "" when it did not
    """

    archive: str
    packages: tuple[Listed, ...] = ()
    read: float = 0.0
    tried: float = 0.0
    dated: str = ""
    trouble: str = ""

    @property
    def told(self) -> str:
        """One line about an archive that could not be read; "" for one that could."""
        if not self.trouble:
            return ""
        still = f"its list of {self.dated} is used still" if self.read else "nothing of it is offered"
        return f"{self.archive} cannot be read, {still}: {self.trouble}"


def listings() -> tuple[Listing, ...]:
    """What is remembered of every archive, in the order of the table. Asks nobody."""
    return tuple(_remembered(name) for name in archives())


def offers(known: Iterable[Listing]) -> tuple[Offer, ...]:
    """The kernels of these archives; one that two of them have is that of the first."""
    found: dict[tuple[str, str], Offer] = {}
    for listing in known:
        for offer in packages.offers_of(listing.packages, listing.archive):
            found.setdefault((offer.release, offer.version), offer)
    return tuple(found.values())


def sources(known: Iterable[Listing], package: str) -> tuple[Deb, ...]:
    """Every version of a source package that these archives offer, oldest first."""
    found = [deb for listing in known for deb in packages.sources_of(listing.packages, package, listing.archive)]
    return tuple(sorted(found, key=lambda deb: packages.version_key(deb.version)))


def due(known: Iterable[Listing], *, unasked: bool = False) -> tuple[str, ...]:
    """Archives that are worth asking for what nobody knows; unasked, those that were never read, and not again and
    again while they cannot be."""
    now = time.time()
    if unasked:
        return tuple(k.archive for k in known if not k.read and now - k.tried > AGAIN.total_seconds())
    return tuple(k.archive for k in known if now - k.read > OLD.total_seconds())


def refresh(names: Sequence[str], progress: Progress) -> tuple[Listing, ...]:
    """Read the lists of these archives, all at once. One that cannot be read keeps what it had, and says why."""
    from concurrent.futures import ThreadPoolExecutor  # 20 ms, and lists of kernels are shown without it

    if not names:
        return ()
    progress(f"reading the package lists of {', '.join(names)}")
    mirror = _mirror()
    with ThreadPoolExecutor(len(names)) as pool:
        return tuple(pool.map(partial(_refresh, mirror=mirror, progress=progress), names))


def _refresh(name: str, *, mirror: str, progress: Progress) -> Listing:
    before = _remembered(name)
    try:
        with locked(folder_of(name), progress=progress):
            listing = _read(name, mirror)
    except (CommandFailed, DeadlinePassed, OSError, ValueError) as exc:
        listing = replace(before, tried=time.time(), trouble=_cause(exc))
    with contextlib.suppress(OSError):
        write_record(folder_of(name) / "index.json", asdict(listing))
    return listing


def _read(name: str, mirror: str) -> Listing:
    """Raises CommandFailed, DeadlinePassed, and OSError or ValueError for what cannot be written or understood."""
    _require_keyring(name)
    folder, config = folder_of(name), configure(name, mirror)
    apt_get(
        ["-c", str(config), "update"],
        work=folder,
        deadline=Deadline.after(f"the package list of {name}", _READ_LIMIT),
        seen=lambda: _seen(folder),
    )
    now = time.time()
    return Listing(name, apt.wanted_packages(config), now, now, _dated(folder))


def _remembered(name: str) -> Listing:
    known = apt.quietly(
        folder_of(name) / "index.json",
        lambda facts: Listing(**{**facts, "packages": packages.listed(facts["packages"])}),
    )
    return known or Listing(name)


def _mirror() -> str:
    """Where this host gets its own packages of the distribution from; Debian's own where it says nothing of that."""
    try:
        told = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]).decode()
    except CommandFailed:
        return DEBIAN
    uris = [uri for uri, _, label in (line.partition(" ") for line in told.splitlines()) if label == "Debian"]
    return uris[0] if uris else DEBIAN


def _require_keyring(name: str) -> None:
    archive = archives()[name]
    if not archive.trusted and not Path(archive.keyring).is_file():
        raise FileNotFoundError(f"there is no {archive.keyring} (sudo apt-get install debian-archive-keyring)")


def _seen(folder: Path) -> str:
    return mib(sum(p.stat().st_size for p in (folder / "lists" / "partial").glob("*") if p.is_file()))


def _dated(folder: Path) -> str:
    """The day a list was made, as its Release says; else today."""
    for release in sorted((folder / "lists").glob("*Release")):
        for line in release.read_text(errors="replace").splitlines():
            if line.startswith("Date: "):
                day = datetime.strptime(line[6:].strip(), "%a, %d %b %Y %H:%M:%S %Z")
                return day.date().isoformat()
    return datetime.now(UTC).date().isoformat()


def _cause(error: Exception) -> str:
    """What apt complained of first, on one line."""
    if not isinstance(error, CommandFailed):
        return one_line(str(error), 200)
    said = [line for line in error.output.splitlines() if line.startswith(("E: ", "W: ")) and "index files" not in line]
    return one_line(_FETCHING.sub("", said[0][3:]) if said else error.message, 200).rstrip(".")
