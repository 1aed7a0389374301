# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is built from: a source package of the distribution, a tarball, or a revision of a git repository."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lab.errors import BadInput, CommandFailed, HostTrouble
from lab.host.commands import run
from lab.host.digests import sha256_of
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from lab.host.records import read_record, write_record
from lab.kernels import apt

HINT = "a base is a line (6.12) or version (6.12.115) with a linux-source package, a TARBALL, or GIT_DIRECTORY#REVISION"


@dataclass(frozen=True)
class Base:
    """Source, found.

    spec      as it was named;  label  what to call it in a report
    key       of its content: sha256 of package or tarball, or the commit
    location  package name, or path;  revision  version of the package, or commit;  size of a package in bytes
    """

    spec: str
    kind: Literal["package", "tarball", "git"]
    label: str
    key: str
    location: str
    revision: str = ""
    size: int = 0

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
    if "/" in spec or path.suffix in (".xz", ".gz", ".zst", ".bz2", ".tar", ".tgz"):
        return _tarball(spec, path.resolve())
    return _package(spec, refresh=refresh)


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
    return Base(spec, "git", f"{where}#{commit[:12]}", commit, str((where / common).resolve()), commit)


def _tarball(spec: str, path: Path) -> Base:
    if not path.is_file():
        raise BadInput([f"base {spec}: there is no such file."], hint=HINT)
    return Base(spec, "tarball", path.name, sha256_of(path), str(path))


def _package(spec: str, *, refresh: bool) -> Base:
    record = cache_root() / "bases" / f"{spec}.json"
    if not refresh and (known := read_record(record, lambda facts: Base(**facts))) is not None:
        return known
    line = apt.line_of(spec)
    offered = apt.source_packages(f"linux-source-{line}")
    fitting = [d for d in offered if spec == line or spec in (d.version, d.version.partition("-")[0])]
    if not fitting:
        there = f"offers {', '.join(d.version for d in offered)}" if offered else f"has no linux-source-{line}"
        if not apt.offers():
            raise HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
        raise BadInput([f"base {spec!r} is not known: the package manager {there}."], hint=HINT)
    deb = fitting[-1]
    base = Base(spec, "package", f"{deb.package} {deb.version}", deb.sha256, deb.package, deb.version, deb.size)
    write_record(record, base.as_record())
    return base
