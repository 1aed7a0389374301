# SPDX-License-Identifier: GPL-2.0-only
"""What benches that boot guests share: kernels by name, a hypervisor, and pairs made for one measurement."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import virtme
from lab.cli.guests import accelerator_for, prepared, private_hypervisor
from lab.contracts import BootableKernel, GuestImage, Progress
from lab.errors import LabTrouble
from lab.guestimage import ensure_image, ensure_init
from lab.kernels.bootable import make_bootable
from lab.pair.ready import ReadyPair, connected_pair
from lab.pair.warm import warm_pair
from lab.plan.case import STANDARD, Shape
from lab.plan.names import digest
from lab.plan.nics import NICS, NicProfile
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest

LAB_KERNEL = "stock-virtme"
"""The small kernel of the lab with what virtme-ng needs in it: all sides of a comparison boot the same file."""

NIC = "virtio"


@dataclass
class Bed:
    """Where pairs are measured: connection, private folder, image, accelerator. `folder` is gone at the end."""

    hypervisor: Hypervisor
    folder: Path
    image: GuestImage
    accelerator: str
    progress: Progress
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def request(self, kernel: BootableKernel, nic: NicProfile = NICS[NIC], shape: Shape = STANDARD) -> PairRequest:
        """A pair nobody has made before."""
        pair = digest("bench", str(self.folder), next(self._numbers))
        return PairRequest(
            pair, nic, shape, kernel, self.image, self.accelerator, self.folder / "pairs" / pair, self.folder / "s"
        )

    def forget(self, request: PairRequest) -> None:
        """Its captures: hundreds of pairs must not fill the disk."""
        shutil.rmtree(request.captures, ignore_errors=True)


def bootable(names: Sequence[str], progress: Progress) -> list[BootableKernel]:
    """Kernels by the names that `lab kernels` knows, and LAB_KERNEL; fetched or built where need be.

    Raises BadInput, LabTrouble.
    """
    return [_bootable(name, progress) for name in names]


def _bootable(name: str, progress: Progress) -> BootableKernel:
    if name != LAB_KERNEL:
        return prepared(name, progress)[0]
    return make_bootable(virtme.lab_kernel(LAB_KERNEL), init=ensure_init(progress), progress=progress)


@contextmanager
def bed(kernels: Sequence[BootableKernel], progress: Progress) -> Iterator[Bed]:
    """A hypervisor and all that pairs of these kernels need; no guest is left at the end. Raises LabTrouble."""
    image = ensure_image(progress)
    with private_hypervisor() as (hypervisor, folder):
        proofs = {accelerator_for(hypervisor, kernel, image, folder) for kernel in kernels}
        yield Bed(hypervisor, folder, image, "kvm" if proofs == {"kvm"} else "tcg", progress)


Start = Callable[[Bed, PairRequest], AbstractContextManager[ReadyPair]]


def _cold(where: Bed, request: PairRequest) -> AbstractContextManager[ReadyPair]:
    return connected_pair(where.hypervisor, request, lambda _: None)


@contextmanager
def _warm(where: Bed, request: PairRequest) -> Iterator[ReadyPair]:
    """Restored from a saved state, which the first call makes. Raises LabTrouble where the pair was booted instead."""
    with warm_pair(where.hypervisor, request, lambda _: None) as ready:
        if not ready.warm:
            raise LabTrouble(f"the pair was not restored: {ready.note}")
        yield ready


STARTS: dict[str, Start] = {"warm": _warm, "cold": _cold}
"""The lab's own ways to a pair that answers."""


def answers(ready: ReadyPair) -> None:
    """Both guests run a command, and the link carries a ping from one to the other: one that lab-init sends, not a
    program, and that a restored pair has had answered before anybody may use it. Raises LabTrouble."""
    with ThreadPoolExecutor(2) as pool:
        commands = [pool.submit(shell.check, ["true"]) for shell in (ready.receiver, ready.sender)]
        ready.pair.sender.echo(ready.pair.addresses["receiver"].v4, ready.pair.request.limits.answer)
        for command in commands:
            command.result()
