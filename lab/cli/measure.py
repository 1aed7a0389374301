# SPDX-License-Identifier: GPL-2.0-only
"""The mapped share of NIC profiles on this host, measured with real traffic and set beside the table."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.contracts import BootableKernel, GuestImage, Progress
from lab.errors import LabTrouble
from lab.plan.case import STANDARD, ClientSpec
from lab.plan.nics import NICS, NicProfile
from lab.units import MIB, Deadline

if TYPE_CHECKING:
    from lab.pair.ready import ReadyPair
    from lab.provision.hypervisor import Hypervisor

TRANSFER = 24 * MIB
REPEATS = 3
FIRST_PORT = 5100
TRANSFER_LIMIT = timedelta(seconds=90)
NOTHING = 0.01
"""Share up to which nothing was mapped: on every NIC a packet may happen to fill exactly one page."""


@dataclass(frozen=True)
class Measured:
    """One profile on this host. `shares` of the transfers, 0 to 1, under an accelerator, or why there are none:
    `skipped`, or `trouble`. release is that of the kernel."""

    nic: str
    shares: tuple[float, ...] = ()
    skipped: str = ""
    trouble: str = ""
    accelerator: str = ""
    release: str = ""

    @property
    def profile(self) -> NicProfile:
        return NICS[self.nic]

    @property
    def wrong(self) -> str:
        """What contradicts the table's promise; "" when nothing does. Within the promise, shares may differ."""
        if not self.shares:
            return ""
        if not self.profile.maps_on(self.release):
            return "maps, though it should not" if max(self.shares) > NOTHING else ""
        return "below its floor" if min(self.shares) < self.profile.floor else ""

    def as_record(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        nic = self.profile
        told = {
            "recorded": nic.measured,
            "recorded_under": nic.measured_under,
            "floor": nic.floor,
            "mappable": nic.mappable,
            "wrong": self.wrong,
        }
        return {**asdict(self), **told}


def measure_all(
    hypervisor: Hypervisor,
    nics: Iterable[NicProfile],
    kernel: BootableKernel,
    image: GuestImage,
    accelerator: str,
    folder: Path,
    progress: Progress,
) -> Generator[Measured]:
    """One pair after the other. Trouble with one profile does not keep the others from being measured."""
    from lab.experiments.found import nic_traffic
    from lab.guestimage.layer import layer_of
    from lab.pair.ready import ready_pair
    from lab.plan.names import digest
    from lab.provision.pair import PairRequest

    traffic = nic_traffic()
    layer = layer_of(traffic, progress)
    for nic in nics:
        if nic.module is not None and kernel.modules and nic.module not in kernel.modules:
            yield Measured(nic.name, skipped=f"{kernel.name} has no driver {nic.module}")
            continue
        pair = digest("measure", nic.name, str(folder))
        request = PairRequest(
            pair,
            nic,
            STANDARD,
            kernel,
            image,
            accelerator,
            folder / "pairs" / nic.name,
            folder / "s",
            traffic=traffic,
            layer=layer,
        )
        try:
            with ready_pair(hypervisor, request, lambda what, name=nic.name: progress(f"{name}: {what}")) as ready:  # type: ignore[misc]
                shares = tuple(_transfer(ready, n, progress) for n in range(REPEATS))
                yield Measured(nic.name, shares, accelerator=accelerator, release=kernel.release)
        except LabTrouble as exc:
            yield Measured(nic.name, trouble=exc.message)


def _transfer(ready: ReadyPair, number: int, progress: Progress) -> float:
    """Mapped share of the bytes of one stream. Raises LabTrouble."""
    progress(f"{ready.pair.request.nic.name}: transfer {number + 1} of {REPEATS}")
    client = replace(ready.traffic.preflight.client, name=f"measure{number}", deliver=TRANSFER)
    moved = transfer(ready, client, FIRST_PORT + number)
    return moved.mapped / moved.delivered if moved.delivered else 0.0


@dataclass(frozen=True)
class Moved:
    """What a client took, in bytes, and how long it took: `seconds` on the guest's clock, `clock` on the host's."""

    delivered: int
    mapped: int
    seconds: float
    clock: float


def transfer(ready: ReadyPair, client: ClientSpec, port: int) -> Moved:
    """One stream from its first byte to its last, and nothing of it left behind. Raises LabTrouble."""
    folder, asked = ready.captures / "measure", ready.traffic.preflight
    deadline = Deadline.after(f"{client.name}'s bytes", TRANSFER_LIMIT)
    taker = ready.start_client(client, port, 0, folder / "client")
    peer = ready.start_peer(client, port, 0, folder / "peer")
    taker.wait("connections", lambda p: p.said("accepted"), deadline)
    began = time.monotonic()
    taker.wait("delivery", lambda p: p.said("holding"), deadline)
    clock = time.monotonic() - began
    first, last = (next(e for e in taker.events if e["event"] == name) for name in ("accepted", "holding"))
    taker.close()
    for program in (taker, peer):
        program.wait("the end", lambda p: p.ended, deadline)
    ready.remove_cgroup(client.name)
    return Moved(int(last[asked.whole]), int(last[asked.part]), last["t"] - first["t"], clock)
