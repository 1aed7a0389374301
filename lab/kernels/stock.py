# SPDX-License-Identifier: GPL-2.0-only
"""Kernels as the distribution ships them, or did: on the host's own lists, in other suites, and kept from either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.host.paths import cache_root
from lab.kernels import apt, lists, packages
from lab.kernels.deb import Deb
from lab.kernels.packages import Offer, version_key

ANY = "newest-any"
# The cloud flavour is built without the drivers of NICs that clouds do not emulate.
_LACKING = {"cloud": ("e1000e", "e1000", "igb"), "generic": ()}


@dataclass(frozen=True)
class CatalogueKernel:
    """A kernel as the distribution ships it, or did. size of the download in bytes; lacks: NIC drivers.

    archive  the suite it is from, "" for the host's own lists
    parts    the packages it is made of, none when it is only kept;  deb_sha256  theirs: see `Offer`
    is_bare  only its vmlinuz was on the list: no module of it can be had
    mark     what its folder has in its name beside the release and version
    """

    name: str
    package: str
    version: str
    line: str
    flavour: str
    size: int
    design: str
    fetched: bool
    release: str
    lacks: tuple[str, ...]
    installed_size: int
    deb_sha256: str
    archive: str = ""
    parts: tuple[Deb, ...] = ()
    is_bare: bool = False
    mark: str = ""

    @property
    def offered(self) -> bool:
        """Whether it could be fetched (again); else it is only kept."""
        return bool(self.deb_sha256)


def catalogue() -> tuple[CatalogueKernel, ...]:
    """Every stock kernel on the host's own lists, and those from there that were fetched and are not offered any more,
    oldest first.

    A package manager without lists offers none; what was fetched before still boots.
    """
    return _sorted(_with_kept(map(_entry, apt.offers()), [k for k in _kept() if not k.archive]))


def everything() -> tuple[CatalogueKernel, ...]:
    """As `catalogue`, and what is known of other suites, oldest first. Asks no network."""
    own = catalogue()
    there = {(k.release, k.version) for k in own}
    others = [entry for offer in lists.offers(lists.listings()) if (entry := _entry(offer))]
    others = [k for k in others if (k.release, k.version) not in there]
    return _sorted((*own, *_with_kept(others, [k for k in _kept() if k.archive])))


def unpacked_dir(release: str, version: str, mark: str = "") -> Path:
    """Where the files of a fetched kernel lie; complete when it exists."""
    return cache_root() / "kernels" / "_".join(filter(None, (release, version, mark)))


def fitting(name: str, known: Sequence[CatalogueKernel]) -> CatalogueKernel | None:
    """The kernel that a name means: of itself, a line (7.2), a version (7.2.12), `newest` of the host, `newest-any`.

    A line and a version mean the host's own before another suite's, and a complete one before a bare one; then the
    newest.
    """
    generic = [k for k in known if k.flavour == "generic"]
    if name == "newest":
        found = [k for k in generic if not k.archive]
    elif name == ANY:
        return max(generic, key=lambda k: (not k.is_bare, version_key(k.version)), default=None)
    else:
        found = [k for k in known if k.name == name]
        found = found or [k for k in generic if name in (k.line, k.version, packages.upstream_of(k.version))]
    return max(found, key=lambda k: (not k.is_bare, not k.archive, version_key(k.version)), default=None)


def _with_kept(offered: Iterable[CatalogueKernel], kept: Sequence[CatalogueKernel]) -> Iterator[CatalogueKernel]:
    """What is offered, and what is kept and offered no more: its modules may be all that nobody offers."""
    complete = {(k.release, k.version) for k in kept if not k.is_bare}
    known = set()
    for kernel in offered:
        if not kernel.is_bare or (kernel.release, kernel.version) not in complete:
            known.add(kernel.release)
            yield kernel
    yield from (k for k in kept if k.release not in known)


def _kept() -> Iterator[CatalogueKernel]:
    """Those that `unpacked_dir` holds, by its name, and where it has a mark by what is written in it."""
    for record in sorted((cache_root() / "kernels").glob("*-amd64_*/kernel.json")):
        release, version, mark = (*record.parent.name.split("_"), "")[:3]
        flavour = packages.flavour_of(f"linux-image-{release}")
        if not flavour or record.parent != unpacked_dir(release, version, mark):
            continue
        facts = (apt.quietly(record, dict) or {}) if mark else {}
        offer = Offer(
            f"linux-image-{release}",
            release,
            version,
            flavour,
            0,
            0,
            (),
            str(facts.get("archive", "")),
            facts.get("is_bare") is True,
        )
        yield _entry(offer, mark)


def _entry(offer: Offer, mark: str = "") -> CatalogueKernel:
    """A kernel of another suite, or in several packages, is kept by their hash: other files may come by its name."""
    if offer.parts and (offer.archive or len(offer.parts) > 1):
        mark = offer.sha256[:12]
    return CatalogueKernel(
        name=offer.release,
        package=offer.package,
        version=offer.version,
        line=packages.line_of(offer.version),
        flavour=offer.flavour,
        size=offer.size,
        design="stock",
        fetched=unpacked_dir(offer.release, offer.version, mark).is_dir(),
        release=offer.release,
        lacks=_LACKING[offer.flavour],
        installed_size=offer.installed_size,
        deb_sha256=offer.sha256 if offer.parts else "",
        archive=offer.archive,
        parts=offer.parts,
        is_bare=offer.is_bare,
        mark=mark,
    )


def _sorted(kernels: Iterable[CatalogueKernel]) -> tuple[CatalogueKernel, ...]:
    return tuple(sorted(kernels, key=lambda k: (version_key(k.version), k.flavour)))
