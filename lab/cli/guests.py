# SPDX-License-Identifier: GPL-2.0-only
"""What commands that start guests share: a hypervisor that leaves nothing behind, and the process to do it in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from lab.contracts import EMBEDDED, BootableKernel, GuestImage, Progress
from lab.host.interrupt import SIGNALS, ends_with, handled
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.provision.hypervisor import Hypervisor

REPLACED = "LAB_REPLACED"
"""Set in the environment of a process that has replaced itself already: its pid before, now that of the reaper."""


def replace_process(*, own_namespace: bool = False) -> None:
    """Start this command anew, once: under a child subreaper where there is one, in its own network if asked for.

    libvirt waits 1 to 2 s for the zombie of each QEMU where pid 1 is slow to reap it. Returns in the new process, or
    when nothing is to be gained. Fetch what the command needs before: there is no way out of an own network.
    """
    if os.environ.get(REPLACED):
        _end_with(int(os.environ.pop(REPLACED)))
        return
    argv = [sys.executable, "-P", "-m", "lab.cli", *sys.argv[1:]]
    if own_namespace:
        from lab.provision.namespace import argv_in_own_namespace

        argv = argv_in_own_namespace(argv)
    reaper = shutil.which("tini")
    if reaper is not None:
        argv = [reaper, "-s", "--", *argv]
    if reaper is not None or own_namespace:
        sys.stdout.flush()
        os.execvpe(argv[0], argv, {**os.environ, REPLACED: str(os.getpid())})  # noqa: S606 - no shell is wanted


def _end_with(reaper: int) -> None:
    """The reaper has the pid that the user knows: where that is killed, we end as by SIGTERM."""
    if reaper == os.getpid():
        return  # there is none
    if not ends_with(reaper, signal.SIGTERM):
        raise SystemExit(128 + signal.SIGTERM)


@contextlib.contextmanager
def private_hypervisor(uri: str = "") -> Iterator[tuple[Hypervisor, Path]]:
    """A connection and a short private folder for sockets and captures; both are gone at the end, and so are guests.

    Raises HostTrouble. The first SIGINT, SIGTERM or SIGHUP ends the block in order; later ones do not hurry it.
    """
    from lab.host.size import require_files
    from lab.provision.hypervisor import connect
    from lab.provision.private import private_folder

    require_files()
    with _signals_end_the_block(), contextlib.ExitStack() as stack:
        folder = private_folder(stack.callback)
        with connect(uri or EMBEDDED, folder / "h") as hypervisor:
            yield hypervisor, folder


@contextlib.contextmanager
def _signals_end_the_block() -> Iterator[None]:
    def end(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    with handled(end):
        yield


def prepared(kernel: str | BootableKernel, progress: Progress) -> tuple[BootableKernel, GuestImage]:
    """A kernel by the user's name for it (or as it was booted before), and the guest image; made when not there.

    Raises BadInput for an unknown kernel, LabTrouble.
    """
    from lab.guestimage import ensure_image, ensure_init
    from lab.kernels.bootable import make_bootable
    from lab.kernels.catalogue import resolve

    if isinstance(kernel, BootableKernel):
        return kernel, ensure_image(progress)
    (chosen,) = resolve([kernel])  # a wrong name is told before an image is built
    return make_bootable(chosen, init=ensure_init(progress), progress=progress), ensure_image(progress)


def accelerator_for(hypervisor: Hypervisor, kernel: BootableKernel, image: GuestImage, folder: Path) -> str:
    """`kvm` where a guest with this kernel was proved to boot under it, else `tcg`; what there is to tell is said."""
    from lab.provision.accel import prove
    from lab.session.prepare import decided, probe_request

    accelerator, why = decided([prove(hypervisor, probe_request(kernel, image, folder, folder))])
    say_accelerator(accelerator, why)
    return accelerator


def say_accelerator(accelerator: str, why: str) -> None:
    """Standard output stays free for results."""
    if why:
        say(f"guests run under {accelerator.upper()}: {why}", err=True)
