# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is built from: a source package of the distribution, a tarball, or a revision of a git repository."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lab.errors import BadInput, CommandFailed, HostTrouble, LabError
from lab.host.commands import run
from lab.host.digests import sha256_of
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from lab.host.records import read_record, tell, write_record
from lab.kernels import apt, lists, packages
from lab.kernels.deb import Deb

HINT = (
    "a base is a line (6.12) or version (6.12.115) with a linux-source package, a TARBALL, or GIT_DIRECTORY[#REVISION]"
)


_NUMBER = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Base:
    """Source, found.

    spec      as it was named;  label  what to call it in a report
    key       of its content: sha256 of package or tarball, or the commit
    location  package name, or path;  revision  version of the package, or commit;  size of a package in bytes
    archive   suite that offers the package, "" for the host's own lists
    makefile  version that the Makefile of a git revision or tarball says, "" where it says none
    """

    spec: str
    kind: Literal["package", "tarball", "git"]
    label: str
    key: str
    location: str
    revision: str = ""
    size: int = 0
    archive: str = ""
    makefile: str = ""

    @property
    def version(self) -> str:
        """Of the kernel in it, `7.3.4`; "" when it is not known."""
        return packages.upstream_of(self.revision) if self.kind == "package" else self.makefile

    @property
    def tree_key(self) -> str:
        """All revisions of one repository share a tree, so that a neighbouring one is built incrementally."""
        return key_of("git", self.location) if self.kind == "git" else key_of(self.kind, self.key)

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


def find_base(spec: str, *, refresh: bool = False) -> Base:
    """The base meant. What the package manager said of a line is remembered until `refresh`. Raises BadInput."""
    where, mark, revision = spec.removeprefix("git:").partition("#")
    if mark:
        return _git(spec, Path(where).expanduser().resolve(), revision)
    if spec.startswith("git:"):
        raise BadInput([f"base {spec}: no revision; write {spec}#REVISION."], hint=HINT)
    path = Path(spec).expanduser()
    if path.is_dir() and ("/" in spec or spec in (".", "..")):
        return _head(spec, path.resolve())
    if "/" in spec or path.suffix in (".xz", ".gz", ".zst", ".bz2", ".tar", ".tgz"):
        return _tarball(spec, path.resolve())
    return _package(spec, refresh=refresh)


def _head(spec: str, where: Path) -> Base:
    """A git tree without a revision: what is committed. What is not is told, it is not built."""
    base = _git(spec, where, "HEAD")
    try:
        run(["git", "--no-optional-locks", "-c", "safe.directory=*", "-C", str(where), "diff", "--quiet", "HEAD", "--"])
    except CommandFailed:
        tell(f"base {spec}: HEAD is built ({base.revision[:12]}); changes that are not committed are left out")
    return base


def _git(spec: str, where: Path, revision: str) -> Base:
    if not where.is_dir():
        raise BadInput([f"base {spec}: {where} is not a directory."], hint=HINT)
    argv = [
        "git",
        "-c",
        "safe.directory=*",
        "-C",
        str(where),
        "rev-parse",
        "--git-common-dir",
        f"{revision}^{{commit}}",
    ]
    try:
        common, commit = run(argv).decode().split("\n")[:2]
    except CommandFailed as exc:
        said = exc.output.strip().splitlines()[-1:]
        raise BadInput([f"base {spec}: no commit {revision!r} in {where} ({' '.join(said)})."], hint=HINT) from exc
    place = str((where / common).resolve())
    return Base(spec, "git", f"{where}#{commit[:12]}", commit, place, commit, makefile=_version_at(where, commit))


def _version_at(where: Path, commit: str) -> str:
    try:
        text = run(["git", "-c", "safe.directory=*", "-C", str(where), "show", f"{commit}:Makefile"])
    except CommandFailed:
        return ""
    return _version_in(text)


def _version_in(makefile: bytes) -> str:
    """What the first lines of a kernel's Makefile say."""
    found = dict(_NUMBER.findall(makefile[:4096].decode(errors="replace")))
    return ".".join(found[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL") if name in found)


def _tarball(spec: str, path: Path) -> Base:
    if not path.is_file():
        raise BadInput([f"base {spec}: there is no such file."], hint=HINT)
    return Base(spec, "tarball", path.name, sha256_of(path), str(path), makefile=_version_packed(path))


def _version_packed(path: Path) -> str:
    """tar ends at the first Makefile that fits: near the beginning, a release is sorted by name."""
    try:
        text = run(
            [
                "tar",
                "-x",
                "-O",
                "--occurrence=1",
                "--wildcards",
                "--no-wildcards-match-slash",
                "-f",
                str(path),
                "*/Makefile",
            ]
        )
    except CommandFailed:
        return ""
    return _version_in(text)


def _package(spec: str, *, refresh: bool) -> Base:
    record = cache_root() / "bases" / f"{spec}.json"
    if not refresh and (known := read_record(record, lambda facts: Base(**facts))) is not None:
        return known
    package = f"linux-source-{packages.line_of(spec)}"
    deb = _fitting(spec, apt.source_packages(package)) or _fitting(spec, _elsewhere(spec, package, refresh=refresh))
    if deb is None:
        raise _unknown(spec, package)
    base = Base(
        spec, "package", f"{deb.package} {deb.version}", deb.sha256, deb.package, deb.version, deb.size, deb.archive
    )
    write_record(record, base.as_record())
    return base


def _fitting(spec: str, offered: Sequence[Deb]) -> Deb | None:
    """The newest version of a line, or the one that was asked for."""
    line = packages.line_of(spec)
    fitting = [d for d in offered if spec == line or spec in (d.version, packages.upstream_of(d.version))]
    return fitting[-1] if fitting else None


def _elsewhere(spec: str, package: str, *, refresh: bool) -> tuple[Deb, ...]:
    """What other suites offer; their lists are read where what is remembered of them does not have it."""
    remembered = lists.listings()
    found = lists.sources(remembered, package)
    wanted = spec[:1].isdigit() and not _fitting(spec, found)
    due = tuple(k.archive for k in remembered) if refresh else lists.due(remembered) if wanted else ()
    if due:
        lists.refresh(due, tell)
        found = lists.sources(lists.listings(), package)
    return found


def _unknown(spec: str, package: str) -> LabError:
    offered = (*apt.source_packages(package), *lists.sources(lists.listings(), package))
    if not offered and not apt.offers():
        return HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
    there = f"offers {', '.join(d.version for d in offered)}" if offered else f"has no {package}"
    troubles = [f"{k.told}." for k in lists.listings() if k.told]
    return BadInput([f"base {spec!r} is not known: the package manager {there}.", *troubles], hint=HINT)
