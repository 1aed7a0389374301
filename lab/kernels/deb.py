# SPDX-License-Identifier: GPL-2.0-only
"""A package of the distribution, downloaded, verified and unpacked. Nothing is installed, no root is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.contracts import Progress
from lab.errors import CommandFailed, DeadlinePassed, FetchFailed
from lab.host.commands import run
from lab.host.filecache import MOVE_CACHE
from lab.kernels.aptget import apt_get
from lab.kernels.archives import config_of
from lab.units import Deadline, mib

_FETCH_LIMIT = timedelta(minutes=30)


@dataclass(frozen=True)
class Deb:
    """One version of a package as the package lists describe it. size in bytes; archive: "" is the host's own lists."""

    package: str
    version: str
    size: int
    sha256: str
    archive: str = ""


def unpacked(deb: Deb, work: Path, progress: Progress) -> Path:
    """The package's files under `work`. Raises FetchFailed."""
    archive = _fetched(deb, work, progress)
    progress(f"unpacking {deb.package}")
    root = work / "root"
    _unpack(archive, root)
    archive.unlink()
    return root


def _fetched(wanted: Deb, work: Path, progress: Progress) -> Path:
    """The verified package. Network trouble is retried, a full disk and a refusal are not."""
    import stamina  # takes 0.1 s, and lists of kernels are read without it

    try:
        for attempt in stamina.retry_context(on=_may_pass, attempts=3, wait_initial=1.0, wait_max=10.0):
            with attempt:
                if attempt.num > 1:
                    progress(f"fetching {wanted.package} again (attempt {attempt.num})")
                _download(wanted, work, progress)
                return _verified(wanted, work)
    except (CommandFailed, DeadlinePassed) as exc:
        raise FetchFailed(
            f"cannot fetch {wanted.package}: {exc.message}", hint=_hint(str(exc), wanted.archive)
        ) from exc
    raise AssertionError("retry_context ends by return or raise")


def _download(wanted: Deb, work: Path, progress: Progress) -> None:
    words = ["-o", "APT::Sandbox::User=root", "download", f"{wanted.package}={wanted.version}"]
    apt_get(
        ["-c", str(config_of(wanted.archive)), *words] if wanted.archive else words,
        work=work,
        deadline=Deadline.after(f"the download of {wanted.package}", _FETCH_LIMIT),
        seen=lambda: _seen(wanted, work, progress),
    )


def _seen(wanted: Deb, work: Path, progress: Progress) -> str:
    have = sum(p.stat().st_size for p in work.glob("*.deb*"))
    text = f"fetching {wanted.package}: {mib(have)} of {mib(wanted.size)}"
    progress(text)
    return text


def _verified(wanted: Deb, work: Path) -> Path:
    deb = next(work.glob("*.deb"), None)
    if deb is None:
        raise FetchFailed(f"apt-get download left no package for {wanted.package}")
    with deb.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != wanted.sha256:
        deb.unlink()
        raise FetchFailed(
            f"{deb.name} has sha256 {found}, the package lists say {wanted.sha256}",
            hint=f"{_reread(wanted.archive)}, then again; if it stays so, do not trust the mirror",
        )
    return deb


def _unpack(deb: Path, root: Path) -> None:
    try:
        run(["dpkg-deb", "-x", str(deb), str(root)])
    except CommandFailed as exc:
        raise FetchFailed(f"cannot unpack {deb.name}: {exc.message}", hint=_hint(str(exc))) from exc


def _may_pass(error: Exception) -> bool:
    return isinstance(error, CommandFailed) and "No space left" not in str(error) and "Can't find" not in str(error)


def _hint(text: str, archive: str = "") -> str:
    if "No space left" in text:
        return MOVE_CACHE
    if "404" in text or "Hash Sum mismatch" in text or "Can't find" in text or "Unable to locate" in text:
        return f"{_reread(archive)} (the package lists do not fit what the mirror has)"
    return "check the network and the mirror in /etc/apt, then run the same command again"


def _reread(archive: str) -> str:
    return "lab kernels --refresh" if archive else "sudo apt-get update"
