# SPDX-License-Identifier: GPL-2.0-only
"""virtme-ng, the peer: installed beside the lab, given the same kernels, started in twos until each ran a command."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.contracts import BootableKernel, Progress
from lab.errors import FetchFailed, GuestLost
from lab.host.commands import run
from lab.host.filecache import ensure_dir, locked
from lab.host.paths import cache_root
from lab.kernels.apt import source_packages
from lab.kernels.catalogue import CatalogueKernel, resolve
from lab.kernels.deb import Deb, unpacked
from lab.kernels.recipe import Recipe
from lab.kernels.recipes import custom
from lab.units import Deadline

VERSION = "1.42"
LIMIT = timedelta(seconds=120)
MARK = "lab-42"
_SAY = "echo lab-$((41+1))"  # the command line shows this text, only a shell that ran it shows the mark

APPEND = (
    "quiet",
    "loglevel=1",
    "mitigations=off",
    "cryptomgr.notests=1",
    "tsc=reliable",
    "no_timer_check",
    "nokaslr",
    "norandmaps",
)
"""The words that make our own guests boot faster; see lab/plan/domain.py."""


@dataclass(frozen=True)
class Virtme:
    """vng is the command; busybox a static one, which it needs to load modules from its initramfs."""

    folder: Path
    busybox: Path

    @property
    def vng(self) -> Path:
        return self.folder / "bin" / "vng"


@dataclass(frozen=True)
class VirtmeKernel:
    """A kernel where virtme-ng finds it: boot/vmlinux-RELEASE, and lib/modules/RELEASE beside boot/ if it has any."""

    image: Path
    modular: bool


def lab_kernel(name: str) -> Recipe:
    """The small kernel of the lab with a root on 9p. Raises BadInput, HostTrouble."""
    return custom("", "", [Path(__file__).with_name("virtme.config")], name)


def ensure_virtme(progress: Progress) -> Virtme:
    """virtme-ng in a venv of its own in the cache. Raises FetchFailed."""
    root = cache_root() / "virtme-ng"
    folder, made = root / VERSION, root / VERSION / ".made"
    with locked(folder, progress=progress):
        if not made.is_file():
            progress(f"installing virtme-ng {VERSION}")
            shutil.rmtree(folder, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            run([*pip, f"virtme-ng=={VERSION}"])
            made.touch()
    return Virtme(folder, _busybox(root / "busybox", progress) / "bin" / "busybox")


def _busybox(target: Path, progress: Progress) -> Path:
    def make(partial: Path) -> None:
        offered = source_packages("busybox-static")
        if not offered:
            raise FetchFailed("apt offers no busybox-static, which virtme-ng needs", hint="apt-get update")
        root = unpacked(offered[-1], partial, progress)
        shutil.copytree(root, partial, symlinks=True, dirs_exist_ok=True)

    return ensure_dir(target, make, progress=progress)


def ensure_kernel(kernel: BootableKernel, progress: Progress) -> VirtmeKernel:
    """The very file our guests boot, laid out for virtme-ng; a stock kernel with all its modules. Raises LabTrouble."""
    if kernel.base:  # built by the lab: nothing is a module
        return VirtmeKernel(_laid_out(kernel, None, progress), modular=False)
    (stock,) = resolve([kernel.name])
    assert isinstance(stock, CatalogueKernel)  # noqa: S101 - the only other kind without a base is a local file
    return VirtmeKernel(_laid_out(kernel, stock, progress), modular=True)


def _laid_out(kernel: BootableKernel, stock: CatalogueKernel | None, progress: Progress) -> Path:
    def make(partial: Path) -> None:
        if stock is not None:
            deb = Deb(stock.package, stock.version, stock.size, stock.deb_sha256)
            root = unpacked(deb, partial, progress)
            (root / "lib").rename(partial / "lib")
            shutil.rmtree(root)
            run(["depmod", "-a", "-b", str(partial), kernel.release])
        (partial / "boot").mkdir()
        shutil.copyfile(kernel.boot, partial / "boot" / f"vmlinux-{kernel.release}")

    target = cache_root() / "virtme-ng" / f"kernel-{kernel.sha256[:20]}"
    return ensure_dir(target, make, progress=progress) / "boot" / f"vmlinux-{kernel.release}"


def commands(virtme: Virtme, kernel: VirtmeKernel, accelerator: str, image: Path) -> dict[str, list[str]]:
    """The two ways that were fastest of all that was tried, by what the guests have as root: see bench/README.md."""
    argv = [str(virtme.vng), "--run", str(kernel.image), "--force-9p", "--cpus", "1", "--verbose"]
    argv += ["--busybox", str(virtme.busybox)]
    argv += [word for option in APPEND for word in ("--append", option)]
    if accelerator != "kvm":
        # Without KVM it takes `-cpu max`, for which TCG does a third more work until the command runs.
        argv += ["--disable-kvm", "--qemu-opts=-cpu qemu64"]
    disk = ["--root-disk", str(image), "--root-fstype", "erofs", "--user", "root"]
    return {"host": [*argv, "--exec", _SAY], "image": [*argv, *disk, "--exec", _SAY]}


@dataclass
class _Guest:
    """One vng on a terminal of its own, and what it has shown."""

    process: subprocess.Popen[bytes]
    terminal: int
    shown: bytes = b""


@contextlib.contextmanager
def _started(argv: list[str], virtme: Virtme, folder: Path) -> Iterator[_Guest]:
    """It and all its children are gone at the end."""
    terminal, theirs = pty.openpty()
    path = f"{virtme.folder / 'bin'}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    try:
        yield _Guest(process, terminal)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(terminal)


def pair_seconds(virtme: Virtme, argv: list[str], folder: Path) -> float:
    """From the start of two of them side by side until both have run a command. Raises GuestLost, DeadlinePassed."""
    deadline = Deadline.after("two virtme-ng guests", LIMIT)
    began = time.monotonic()
    with _started(argv, virtme, folder) as one, _started(argv, virtme, folder) as two:
        waiting = {guest.terminal: guest for guest in (one, two)}
        while waiting:
            readable, _, _ = select.select(list(waiting), [], [], deadline.remaining)
            if not readable:
                raise deadline.passed([_tail(guest) for guest in waiting.values()])
            for terminal in readable:
                guest = waiting[terminal]
                guest.shown += _read(guest)
                if MARK.encode() in guest.shown:
                    del waiting[terminal]
        return time.monotonic() - began


def _read(guest: _Guest) -> bytes:
    """Raises GuestLost at the end of its terminal."""
    with contextlib.suppress(OSError):  # EIO: nobody has the other end open any more
        data = os.read(guest.terminal, 1 << 16)
        if data:
            return data
    raise GuestLost(f"virtme-ng ended before its command was run:\n{_tail(guest)}")


def _tail(guest: _Guest) -> str:
    return "\n".join(guest.shown.decode(errors="replace").splitlines()[-15:])
