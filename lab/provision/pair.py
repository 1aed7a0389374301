"""A pair: a receiver, a sender and the link between them; one guest alone for the loopback profile."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.contracts import BootableKernel, GuestImage
from lab.errors import HostTrouble
from lab.plan.cases import Shape
from lab.plan.domain import GuestFiles, GuestPlan, plan_guest
from lab.plan.limits import Limits
from lab.plan.names import ROLES, LinkAddress, Role, link_address
from lab.plan.nics import NicProfile
from lab.provision.guest import Guest, started
from lab.provision.hypervisor import Hypervisor
from lab.provision.link import link


@dataclass(frozen=True)
class PairRequest:
    """What to provision. `captures` keeps consoles and telemetry, `sockets` is a short path for AF_UNIX sockets.

    `plugin` is the one that counts the receiver's instructions, None where nobody asks for them.
    """

    id: str
    nic: NicProfile
    shape: Shape
    kernel: BootableKernel
    image: GuestImage
    accelerator: str
    captures: Path
    sockets: Path
    limits: Limits = field(default_factory=Limits)
    plugin: Path | None = None


@dataclass(frozen=True)
class Pair:
    """Running guests by role. On loopback the sender's programs run in the receiver."""

    request: PairRequest
    guests: dict[Role, Guest]

    @property
    def receiver(self) -> Guest:
        return self.guests["receiver"]

    @property
    def sender(self) -> Guest:
        return self.guests.get("sender", self.receiver)

    @property
    def addresses(self) -> dict[Role, LinkAddress]:
        """Addresses of the two ends of the link."""
        if self.request.nic.link == "none":
            return dict.fromkeys(ROLES, LinkAddress("127.0.0.1", "::1"))
        return {role: link_address(self.request.id, role) for role in ROLES}

    def wait_ready(self) -> None:
        """Both guests booted. Raises GuestLost, DeadlinePassed."""
        for guest in self.guests.values():
            guest.wait_ready(self.request.limits.boot)

    def wait_carrier(self) -> None:
        """Both ends of the link carry. Raises GuestLost, DeadlinePassed."""
        if self.request.nic.link != "none":
            for guest in self.guests.values():
                guest.wait_carrier(self.request.limits.carrier)


def emulator() -> str:
    """Path of QEMU. Raises HostTrouble."""
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise HostTrouble("qemu-system-x86_64 is not on PATH", hint="make setup")
    return found


def _files(request: PairRequest, role: Role) -> GuestFiles:
    folder = request.captures / role
    folder.mkdir(parents=True, exist_ok=True)
    request.sockets.mkdir(parents=True, exist_ok=True)
    return GuestFiles(
        kernel=str(request.kernel.boot),
        initrd=str(request.kernel.initrd),
        image=str(request.image.path),
        console=str(folder / "console.log"),
        telemetry=str(folder / "telemetry.jsonl"),
        ready_socket=str(request.sockets / f"{request.id}-{role[0]}"),
        link_socket=str(request.sockets / f"{request.id}-l"),
        plugin=str(request.plugin) if request.plugin and role == "receiver" else "",
        instructions=str(folder / "instructions.jsonl"),
    )


def guest_plan(request: PairRequest, role: Role) -> GuestPlan:
    """The plan of one guest of a pair; its capture folders are made. Raises HostTrouble without QEMU."""
    return plan_guest(
        request.id,
        role,
        request.nic,
        request.shape,
        _files(request, role),
        accelerator=request.accelerator,
        emulator=emulator(),
    )


@contextlib.contextmanager
def provisioned(hypervisor: Hypervisor, request: PairRequest) -> Iterator[Pair]:
    """Start both guests; they boot while the caller goes on. All is gone when the block ends."""
    roles: tuple[Role, ...] = ("receiver",) if request.nic.link == "none" else ROLES
    with contextlib.ExitStack() as stack:
        stack.enter_context(link(request.id, request.nic))
        stack.callback((request.sockets / f"{request.id}-l").unlink, missing_ok=True)
        guests: dict[Role, Guest] = {}
        for role in roles:
            guests[role] = stack.enter_context(started(hypervisor, guest_plan(request, role)))
            (request.captures / role / "domain.xml").write_text(guests[role].xml)
        yield Pair(request, guests)
