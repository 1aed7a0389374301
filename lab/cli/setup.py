# SPDX-License-Identifier: GPL-2.0-only
"""`lab setup`: make this host fit, fetch the kernels, build the guest image. What is there already is left alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.progress import shown
from lab.contracts import Progress
from lab.errors import BadInput, HostTrouble
from lab.plan.nics import NEWER
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.kernels.catalogue import CatalogueKernel, Kernel


def setup(
    check: Annotated[bool, typer.Option("--check", help="Say what would be done, and do nothing.")] = False,
    kernel: Annotated[
        list[str] | None,
        typer.Option("--kernel", help="Fetch this kernel; may be given again. Default: newest of each line."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Also install a browser, for the report tests.")] = False,
    fleet: Annotated[bool, typer.Option("--fleet", help="Also install what lab run --hosts needs here.")] = False,
    sshd: Annotated[
        bool, typer.Option("--sshd", help="Also install an SSH server, for the fleet's tests. None is started.")
    ] = False,
) -> None:
    """Make this host fit: packages, kernels, guest image."""
    started = time.monotonic()
    with shown() as progress:
        also = [role for role, wanted in (("browser", browser), ("fleet", fleet), ("sshd", sshd)) if wanted]
        packages = _packages(also, check=check, progress=progress)
        if not (check and packages):  # else there is nothing to ask yet
            _require_versions()
        todo = [
            *packages,
            *_kernels(kernel or [], check=check, progress=progress),
            *_image(check=check, progress=progress),
        ]
    for line in todo:
        say(f"{'would do' if check else 'done'}: {line}")
    if not todo:
        say("nothing to do: packages, kernels and guest image are there")
    say(f"setup took {time.monotonic() - started:.1f} s")


def _packages(also: Sequence[str], *, check: bool, progress: Progress) -> list[str]:
    from lab.drive import host

    needs = host.lacking(["hypervisor", *also])
    if not needs:
        return []
    if not check:
        progress(f"installing {needs}")
        host.install(needs, also=also, progress=progress)
    return [f"install {needs}"]


def _require_versions() -> None:
    """What is installed may be older than what the lab needs. Raises HostTrouble."""
    from lab.provision.hypervisor import require_libvirt
    from lab.provision.qemu import installed_qemu, qemu_too_old

    qemu = installed_qemu()
    if qemu is not None and (problem := qemu_too_old(qemu)):
        raise HostTrouble(problem, hint=f"a newer QEMU: {NEWER}")
    require_libvirt()


def _kernels(names: Sequence[str], *, check: bool, progress: Progress) -> list[str]:
    from lab.guestimage import ensure_init
    from lab.kernels.bootable import make_bootable
    from lab.kernels.catalogue import CatalogueKernel, catalogue, resolve

    chosen = resolve(names) if names else newest_of_each_line(catalogue())
    done = []
    for kernel in chosen:
        if not check:
            make_bootable(kernel, init=ensure_init(progress), progress=progress)
        if isinstance(kernel, CatalogueKernel) and not kernel.fetched:
            done.append(f"fetch kernel {kernel.name} ({kernel.size / 1e6:.0f} MB)")
    return done


def newest_of_each_line(offered: Sequence[CatalogueKernel]) -> tuple[Kernel, ...]:
    """One generic kernel per line, oldest line first. Raises BadInput when there is none."""
    newest = {k.line: k for k in offered if k.flavour == "generic"}
    if not newest:
        raise BadInput(["the package manager offers no kernel."], hint="sudo apt-get update")
    return tuple(newest.values())


def _image(*, check: bool, progress: Progress) -> list[str]:
    from lab.guestimage import current_image

    if current_image():
        return []
    if not check:
        from lab.drive import host

        host.build_image(progress)
    return ["build the guest image"]
