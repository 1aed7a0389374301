# SPDX-License-Identifier: GPL-2.0-only
"""What the package manager says about kernel packages. Works for ordinary users; installs nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.errors import CommandFailed
from lab.host.commands import run
from lab.host.paths import cache_root
from lab.kernels.deb import Deb

# Not: meta packages (no third number), -rt, -dbg, -unsigned, other architectures.
_PACKAGE = re.compile(r"linux-image-(?P<release>\d+\.\d+\.\d+\S*?-(?P<cloud>cloud-)?amd64)")

_Key = tuple[tuple[tuple[int, ...], int], ...]


@dataclass(frozen=True)
class Offer:
    """One kernel package that can be fetched. size of the .deb and installed, in bytes."""

    package: str
    release: str
    version: str
    flavour: str
    size: int
    installed_size: int
    sha256: str


def offers() -> tuple[Offer, ...]:
    """Every kernel package on offer, the newest version of each."""
    try:
        return parse_offers(_show("linux-image-*-amd64"))
    except CommandFailed as exc:
        if "No packages found" in exc.output:
            return ()
        raise


def _show(names: str) -> str:
    """apt keeps what it has parsed, and sees when its lists have changed; images for containers turn that off.

    Without it every call parses all lists anew: 0.9 s of CPU time instead of 0.1. Raises CommandFailed.
    """
    kept = cache_root() / "apt" / "pkgcache.bin"
    with contextlib.suppress(OSError):  # apt does without it
        kept.parent.mkdir(parents=True, exist_ok=True)
    return run(["apt-cache", "-o", f"Dir::Cache::pkgcache={kept}", "show", names]).decode()


def parse_offers(text: str) -> tuple[Offer, ...]:
    """Output of `apt-cache show`; stanzas without a checksum are installed packages that nobody offers any more."""
    newest: dict[str, Offer] = {}
    for fields in _stanzas(text):
        match = _release(fields.get("Package", ""))
        if not match or "SHA256" not in fields:
            continue
        offer = Offer(
            package=fields["Package"],
            release=match["release"],
            version=fields["Version"],
            flavour="cloud" if match["cloud"] else "generic",
            size=int(fields["Size"]),
            installed_size=int(fields["Installed-Size"]) * 1024,
            sha256=fields["SHA256"],
        )
        known = newest.get(offer.release)
        if known is None or version_key(known.version) < version_key(offer.version):
            newest[offer.release] = offer
    return tuple(sorted(newest.values(), key=lambda o: (version_key(o.version), o.flavour)))


def source_packages(package: str) -> tuple[Deb, ...]:
    """Every version on offer of a source package, oldest first; none when there is no such package."""
    try:
        text = _show(package)
    except CommandFailed as exc:
        if "No packages found" in exc.output:
            return ()
        raise
    found = {
        fields["Version"]: Deb(fields["Package"], fields["Version"], int(fields["Size"]), fields["SHA256"])
        for fields in _stanzas(text)
        if "SHA256" in fields
    }
    return tuple(sorted(found.values(), key=lambda deb: version_key(deb.version)))


def version_key(version: str) -> tuple[_Key, _Key]:
    """Orders versions as dpkg does (deb-version(7)): numbers by value, `~` before the end, letters before the rest.

    An epoch is not treated: kernel packages have none.
    """
    upstream, dash, revision = version.rpartition("-")
    return (_key(upstream), _key(revision)) if dash else (_key(version), _key("0"))


def line_of(version: str) -> str:
    """`6.12.117-1~deb12u1` belongs to the line `6.12`."""
    return ".".join(version.split(".")[:2])


def _key(text: str) -> _Key:
    """The last match is empty; it makes the end of the text comparable with what another text has there."""
    return tuple(((*map(_weight, word), 0), int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", text))


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def flavour_of(package: str) -> str:
    """`generic` or `cloud`; "" for a package that is no kernel of ours."""
    match = _release(package)
    return "" if match is None else "cloud" if match["cloud"] else "generic"


def _release(package: str) -> re.Match[str] | None:
    match = _PACKAGE.fullmatch(package)
    return None if match is None or "-rt-" in package else match


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for block in text.split("\n\n"):
        yield dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
