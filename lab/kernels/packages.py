# SPDX-License-Identifier: GPL-2.0-only
"""Kernel packages as package lists describe them: names, versions, and which packages make one kernel. No I/O.

Up to Linux 6.18 a kernel of Debian is one package. Since 6.19 linux-image-RELEASE holds nothing, and depends on
linux-binary-RELEASE (the vmlinuz), linux-modules-RELEASE and linux-base-RELEASE (config and modules.builtin).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.host.filecache import key_of
from lab.kernels.deb import Deb

WANTED = (*(f"linux-{part}-*-amd64" for part in ("image", "binary", "modules", "base")), "linux-source-*")
"""Patterns of their names, for apt-cache; `is_wanted` is the narrower."""

# Not: meta packages (no third number), -rt, -dbg, -unsigned, other architectures.
_PACKAGE = re.compile(
    r"linux-(?P<part>image|binary|modules|base)-(?P<release>\d+\.\d+\.\d+\S*?-(?P<cloud>cloud-)?amd64)"
)
_SOURCE = re.compile(r"linux-source-\d+\.\d+")

_NEEDED = {"Package", "Version", "Size", "Installed-Size", "SHA256"}

_Key = tuple[tuple[tuple[int, ...], int], ...]


@dataclass(frozen=True)
class Listed:
    """One version of a package in a list. is_split: it is a linux-image that needs the other packages."""

    package: str
    version: str
    size: int
    installed_size: int
    sha256: str
    is_split: bool = False

    def deb(self, archive: str) -> Deb:
        """What to fetch, and from which archive."""
        return Deb(self.package, self.version, self.size, self.sha256, archive)


@dataclass(frozen=True)
class Offer:
    """One kernel that can be fetched. size of what is fetched and installed, in bytes.

    parts    its packages;  is_bare  only the vmlinuz is left, its modules are on no list any more
    archive  where it is from, "" for the host's own lists
    """

    package: str
    release: str
    version: str
    flavour: str
    size: int
    installed_size: int
    parts: tuple[Deb, ...]
    archive: str = ""
    is_bare: bool = False

    @property
    def sha256(self) -> str:
        """Of the package; of a kernel in several, a hash of theirs. Empty: nobody offers it."""
        return self.parts[0].sha256 if len(self.parts) == 1 else key_of(*(p.sha256 for p in self.parts))


def parse(text: str) -> tuple[Listed, ...]:
    """Output of `apt-cache show`; stanzas without a checksum are installed packages that nobody offers any more."""
    found: dict[tuple[str, str], Listed] = {}
    for fields in _stanzas(text):
        if not fields.keys() >= _NEEDED:
            continue
        package = fields["Package"]
        match = _match(package)
        found[package, fields["Version"]] = Listed(
            package,
            fields["Version"],
            int(fields["Size"]),
            int(fields["Installed-Size"]) * 1024,
            fields["SHA256"],
            bool(match and f"linux-binary-{match['release']}" in fields.get("Depends", "")),
        )
    return tuple(found.values())


def listed(rows: Iterable[Mapping[str, Any]]) -> tuple[Listed, ...]:
    """From a record of ours. Raises TypeError for another."""
    return tuple(Listed(**row) for row in rows)


def is_wanted(package: str) -> bool:
    """Whether it is a part of a kernel of ours, or the source of one."""
    return bool(_match(package) or _SOURCE.fullmatch(package))


def offers_of(packages: Iterable[Listed], archive: str = "") -> tuple[Offer, ...]:
    """Every kernel in a list, oldest first: of each release the newest version that is complete, else the newest."""
    by_release: dict[str, dict[str, dict[str, Listed]]] = {}
    for package in packages:
        if match := _match(package.package):
            versions = by_release.setdefault(match["release"], {})
            versions.setdefault(package.version, {})[match["part"]] = package
    found = []
    for release, versions in by_release.items():
        made = [o for version, parts in versions.items() if (o := _offer(release, version, parts, archive))]
        found += [max(made, key=lambda o: (not o.is_bare, version_key(o.version)))] if made else []
    return tuple(sorted(found, key=lambda o: (version_key(o.version), o.flavour)))


def sources_of(packages: Iterable[Listed], package: str, archive: str = "") -> tuple[Deb, ...]:
    """Every version of a source package in a list, oldest first."""
    found = {p.version: p.deb(archive) for p in packages if p.package == package}
    return tuple(sorted(found.values(), key=lambda deb: version_key(deb.version)))


@functools.cache
def version_key(version: str) -> tuple[_Key, _Key]:
    """Orders versions as dpkg does (deb-version(7)): numbers by value, `~` before the end, letters before the rest.

    An epoch is not treated: kernel packages have none.
    """
    upstream, dash, revision = version.rpartition("-")
    return (_key(upstream), _key(revision)) if dash else (_key(version), _key("0"))


def upstream_of(version: str) -> str:
    """`6.12.117-1~deb12u1` is Linux `6.12.117`."""
    return version.rpartition("-")[0] or version


def line_of(version: str) -> str:
    """`6.12.117-1~deb12u1` belongs to the line `6.12`."""
    return ".".join(version.split(".")[:2])


def flavour_of(package: str) -> str:
    """`generic` or `cloud`; "" for a package that is no kernel of ours."""
    match = _match(package)
    return "" if match is None else "cloud" if match["cloud"] else "generic"


def release_of(package: str) -> str:
    """`uname -r` of the kernel that a package is a part of; "" for one that is no kernel of ours."""
    match = _match(package)
    return match["release"] if match else ""


def _offer(release: str, version: str, parts: Mapping[str, Listed], archive: str) -> Offer | None:
    """The kernel that these packages of one version make, None when its vmlinuz is in none of them."""
    image, package = parts.get("image"), f"linux-image-{release}"
    if image is not None and not image.is_split:
        chosen, is_bare = [image], False
    elif "binary" not in parts:
        return None
    else:
        rest = [parts[name] for name in ("modules", "base") if name in parts]
        is_bare = len(rest) < 2
        chosen = [parts["binary"], *([] if is_bare else rest)]
    return Offer(
        package,
        release,
        version,
        flavour_of(package),
        sum(p.size for p in chosen),
        sum(p.installed_size for p in chosen),
        tuple(p.deb(archive) for p in chosen),
        archive,
        is_bare,
    )


def _key(text: str) -> _Key:
    """The last match is empty; it makes the end of the text comparable with what another text has there."""
    return tuple(((*map(_weight, word), 0), int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", text))


def _weight(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def _match(package: str) -> re.Match[str] | None:
    match = _PACKAGE.fullmatch(package)
    return None if match is None or "-rt-" in package else match


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for block in text.split("\n\n"):
        yield dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
