"""Fetch a kernel package and keep the few files of it that a guest needs. Nothing is installed, no root is needed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import stamina

from lab.commands import missing, run
from lab.contracts import Progress
from lab.errors import CommandFailed, DeadlinePassed, FetchFailed
from lab.filecache import MOVE_CACHE, ensure_dir, require_space
from lab.kernels import modules
from lab.kernels.catalogue import CatalogueKernel, unpacked_dir
from lab.kernels.vmlinux import extract_vmlinux
from lab.units import MIB, Deadline, mib, wait_until

_FETCH_LIMIT = timedelta(minutes=30)
_SPARE = 200 * MIB  # the unpacked vmlinux, and room to breathe


def ensure_fetched(kernel: CatalogueKernel, progress: Progress) -> Path:
    """Directory with `vmlinuz`, `boot` (what QEMU gets), `config`, `modules/` and `kernel.json`.

    Raises FetchFailed.
    """
    target = unpacked_dir(kernel.release, kernel.version)

    def make(partial: Path) -> None:
        require_space(partial, kernel.size + kernel.installed_size + _SPARE)
        with tempfile.TemporaryDirectory(dir=partial) as work:
            deb = _fetched_deb(kernel, Path(work), progress)
            progress(f"unpacking {kernel.release}")
            _unpack(deb, Path(work) / "root")
            _keep(kernel.release, Path(work) / "root", partial)

    return ensure_dir(target, make, progress=progress)


def _fetched_deb(kernel: CatalogueKernel, work: Path, progress: Progress) -> Path:
    """The verified package. Network trouble is retried, a full disk and a refusal are not."""
    try:
        for attempt in stamina.retry_context(on=_may_pass, attempts=3, wait_initial=1.0, wait_max=10.0):
            with attempt:
                if attempt.num > 1:
                    progress(f"fetching {kernel.release} again (attempt {attempt.num})")
                _download(kernel, work, progress)
                return _verified(kernel, work)
    except (CommandFailed, DeadlinePassed) as exc:
        raise FetchFailed(f"cannot fetch {kernel.package}: {exc.message}", hint=_hint(str(exc))) from exc
    raise AssertionError("retry_context ends by return or raise")


def _download(kernel: CatalogueKernel, work: Path, progress: Progress) -> None:
    argv = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"{kernel.package}={kernel.version}"]
    with (work / "log").open("wb") as log:
        try:
            process = subprocess.Popen(argv, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except FileNotFoundError as exc:
            raise missing(argv[0]) from exc
        with process:
            try:
                status = wait_until(
                    lambda: (process.poll(), _seen(kernel, work, progress)),
                    deadline=Deadline.after(f"the download of {kernel.package}", _FETCH_LIMIT),
                    pause=timedelta(milliseconds=250),
                )
            except BaseException:
                process.terminate()
                raise
    if status:
        raise CommandFailed(argv, status, (work / "log").read_text(errors="replace"))


def _seen(kernel: CatalogueKernel, work: Path, progress: Progress) -> str:
    have = sum(p.stat().st_size for p in work.glob("*.deb*"))
    text = f"fetching {kernel.release}: {mib(have)} of {mib(kernel.size)}"
    progress(text)
    return text


def _verified(kernel: CatalogueKernel, work: Path) -> Path:
    deb = next(work.glob("*.deb"), None)
    if deb is None:
        raise FetchFailed(f"apt-get download left no package for {kernel.package}")
    with deb.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != kernel.deb_sha256:
        deb.unlink()
        raise FetchFailed(
            f"{deb.name} has sha256 {found}, the package lists say {kernel.deb_sha256}",
            hint="sudo apt-get update, then again; if it stays so, do not trust the mirror",
        )
    return deb


def _unpack(deb: Path, root: Path) -> None:
    try:
        run(["dpkg-deb", "-x", str(deb), str(root)])
    except CommandFailed as exc:
        raise FetchFailed(f"cannot unpack {deb.name}: {exc.message}", hint=_hint(str(exc))) from exc


def _keep(release: str, root: Path, target: Path) -> None:
    """Move the needed files out of an unpacked package."""
    shutil.move(root / "boot" / f"vmlinuz-{release}", target / "vmlinuz")
    shutil.move(root / "boot" / f"config-{release}", target / "config")
    lib = next(d / release for d in (root / "lib/modules", root / "usr/lib/modules") if (d / release).is_dir())
    kept = target / "modules"
    kept.mkdir()
    for module in {s.module.name: s.module for s in modules.plan_loading(modules.finder(lib))}.values():
        (kept / f"{module.name}.ko").write_bytes(module.data)
    shutil.copy(lib / "modules.builtin", kept)
    image = (target / "vmlinuz").read_bytes()
    boot = extract_vmlinux(image)
    (target / "boot").write_bytes(boot or image)
    (target / "kernel.json").write_text(
        json.dumps(
            {
                "release": release,
                "sha256": hashlib.sha256(boot or image).hexdigest(),
                "config_sha256": hashlib.sha256((target / "config").read_bytes()).hexdigest(),
                "pvh": boot is not None,
            },
            indent=1,
        )
    )


def _may_pass(error: Exception) -> bool:
    return isinstance(error, CommandFailed) and "No space left" not in str(error) and "Can't find" not in str(error)


def _hint(text: str) -> str:
    if "No space left" in text:
        return MOVE_CACHE
    if "404" in text or "Hash Sum mismatch" in text or "Can't find" in text or "Unable to locate" in text:
        return "sudo apt-get update (the package lists do not fit what the mirror has)"
    return "check the network and the mirror in /etc/apt, then run the same command again"
