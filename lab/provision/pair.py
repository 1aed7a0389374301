# SPDX-License-Identifier: GPL-2.0-only
"""A pair: a receiver, a sender and the link between them; one guest alone for the loopback profile."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.contracts import BootableKernel, GuestImage
from lab.errors import HostTrouble, LabTrouble
from lab.host.atonce import entered
from lab.plan.case import Shape, Traffic
from lab.plan.commands import SEED_BYTES, all_settings, wake_order
from lab.plan.domain import Engine, GuestFiles, GuestPlan, plan_guest
from lab.plan.limits import Limits
from lab.plan.names import ROLES, LinkAddress, Role, link_address, mac
from lab.plan.nics import NicProfile
from lab.provision.guest import Guest, started
from lab.provision.hostkey import make_hostkey, make_login_key
from lab.provision.hypervisor import Hypervisor
from lab.provision.link import await_listener, link
from lab.provision.sound import require_sound
from lab.provision.watch import Watch


@dataclass(frozen=True)
class PairRequest:
    """What to provision. `captures` keeps consoles and telemetry, `sockets` is a short path for AF_UNIX sockets.

    traffic  how its runs make traffic, and which guest they test; None where nobody has to prove anything
    plugin   the one that counts the instructions of the guest under test, None where nobody asks for them
    saving   folder where both guests' memory lies in files, so that they can be saved there; None: not to be saved
    saved    folder of a saved pair to restore, and `born` its id; None: to be booted
    layer    programs beside the image's, None for none
    settings what guests that boot have to set, beside their addresses; None where nobody has said
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
    traffic: Traffic | None = None
    plugin: Path | None = None
    saving: Path | None = None
    saved: Path | None = None
    born: str = ""
    layer: GuestImage | None = None
    settings: Mapping[Role, tuple[str, ...]] | None = None

    @property
    def tested(self) -> Role:
        """The guest under test; where there is one guest only, that."""
        return self.traffic.tested if self.traffic and self.nic.link != "none" else "receiver"

    @property
    def images(self) -> tuple[GuestImage, ...]:
        """All that its guests mount."""
        return (self.image, self.layer) if self.layer else (self.image,)

    @property
    def link_socket(self) -> Path:
        """QEMU makes it, in a directory where nothing else is: it may run as somebody else."""
        return self.sockets / "q" / f"{self.id}-l"

    @property
    def key_file(self) -> Path:
        """The key that opens its guests, in the session's private folder; there while they are."""
        return self.sockets / f"{self.id}.key"

    def settings_of(self, role: Role) -> tuple[str, ...] | None:
        """All that this guest sets when it boots, with its end of the link."""
        if self.settings is None or self.saved is not None:
            return None
        return all_settings(self.settings[role], None if self.nic.link == "none" else link_address(self.id, role))


@dataclass(frozen=True)
class Pair:
    """Running guests by role. On loopback the sender's programs run in the receiver."""

    request: PairRequest
    guests: dict[Role, Guest]
    watch: Watch = field(default_factory=Watch)

    @property
    def receiver(self) -> Guest:
        return self.guests["receiver"]

    @property
    def sender(self) -> Guest:
        return self.guests.get("sender", self.receiver)

    @property
    def tested(self) -> Guest:
        """The guest under test."""
        return self.guests[self.request.tested]

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

    def save(self) -> None:
        """Write both guests' devices beside their memory. They must not run again. Raises LabTrouble."""
        folder, limit = self.request.saving, self.request.limits.answer
        if folder is None:
            raise HostTrouble(f"pair {self.request.id} was not started to be saved")
        for guest in self.guests.values():
            guest.rest(limit)
        for guest in self.guests.values():
            guest.suspend()
        for role, guest in self.guests.items():
            guest.save(folder / f"{role}.state")

    def wait_carrier(self) -> None:
        """Both ends of the link carry. Raises GuestLost, DeadlinePassed."""
        if self.request.nic.link != "none":
            for guest in self.guests.values():
                guest.wait_carrier(self.request.limits.carrier)


def _wake(request: PairRequest, role: Role, guest: Guest) -> None:
    """Clock, entropy, host key, addresses and a door of its own: see images/guest/lab-init-wake.c."""
    key = make_hostkey()
    address = None if request.nic.link == "none" else link_address(request.id, role)
    link_mac = mac(request.id, role, "link") if address else "-"
    order = wake_order(time.time_ns(), os.urandom(SEED_BYTES), key.file, guest.login, link_mac, address)
    guest.wake(order, key.public, request.limits.answer)


def emulator() -> str:
    """Path of QEMU. Raises HostTrouble."""
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise HostTrouble("qemu-system-x86_64 is not on PATH", hint="make setup")
    return found


def _files(request: PairRequest, role: Role) -> GuestFiles:
    folder = (request.captures / role).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    request.link_socket.parent.mkdir(parents=True, exist_ok=True)
    memory = (request.saved or request.saving or Path()).resolve()
    return GuestFiles(
        kernel=str(request.kernel.boot.resolve()),
        initrd=str(request.kernel.initrd.resolve()),
        image=str(request.image.path.resolve()),
        console=str(folder / "console.log"),
        telemetry=str(folder / "telemetry.jsonl"),
        ready_socket=str(request.sockets / f"{request.id}-{role[0]}"),
        link_socket=str(request.link_socket),
        plugin=str(request.plugin.resolve()) if request.plugin and role == request.tested else "",
        instructions=str(folder / "instructions.jsonl"),
        layer=str(request.layer.path.resolve()) if request.layer else "",
        layer_key=request.layer.key if request.layer else "",
        ram=str(memory / f"{role}.ram") if request.saved or request.saving else "",
        state=str(request.saved / f"{role}.state") if request.saved else "",
    )


def guest_plan(request: PairRequest, role: Role, machine: str) -> GuestPlan:
    """The plan of one guest of a pair, on a machine type; its capture folders are made. Raises HostTrouble without
    QEMU."""
    return plan_guest(
        request.id,
        role,
        request.nic,
        request.shape,
        _files(request, role),
        Engine(request.accelerator, emulator(), machine),
        born=request.born,
    )


Met = Callable[[Role, Guest], None]
"""What is done with a guest that is there, before its pair is."""


def ignore(_role: Role, _guest: Guest) -> None:
    """Do nothing with it."""


@contextlib.contextmanager
def provisioned(hypervisor: Hypervisor, request: PairRequest, met: Met = ignore) -> Iterator[Pair]:
    """Start both guests, at once. Those that boot do so while the caller goes on; those that are restored are awake.

    `met` is called for each as soon as it is there, in a thread of its own. All is gone when the block ends. Trouble
    that ends it has with it what was seen of the guests (`LabTrouble.seen`). Raises HostTrouble where what they boot
    from is damaged.
    """
    require_sound(request.kernel, request.images, request.plugin)
    with Watch() as watch:
        try:
            with _linked_pair(hypervisor, request, met, watch) as pair:
                yield pair
        except LabTrouble as exc:
            exc.add_seen(watch.troubles())
            raise


@contextlib.contextmanager
def _linked_pair(hypervisor: Hypervisor, request: PairRequest, met: Met, watch: Watch) -> Iterator[Pair]:
    roles: tuple[Role, ...] = ("receiver",) if request.nic.link == "none" else ROLES
    with contextlib.ExitStack() as stack:
        owner = hypervisor.account.uid if hypervisor.account else os.geteuid()
        stack.enter_context(link(request.id, request.nic, owner))
        stack.callback(request.link_socket.unlink, missing_ok=True)
        request.sockets.mkdir(parents=True, exist_ok=True)
        stack.callback(request.key_file.unlink, missing_ok=True)
        login, failed = make_login_key(request.key_file), threading.Event()
        ends = {role: _linked(hypervisor, request, role, failed, met, login, watch) for role in roles}
        guests = entered(stack, ends)
        for role, guest in guests.items():
            (request.captures / role / "domain.xml").write_text(guest.xml)
        with watch.until_known():
            yield Pair(request, guests, watch)


@contextlib.contextmanager
def _linked(
    hypervisor: Hypervisor,
    request: PairRequest,
    role: Role,
    failed: threading.Event,
    met: Met,
    login: str,
    watch: Watch,
) -> Iterator[Guest]:
    """One end. The receiver listens for the sender, which therefore waits for that, or until it has `failed`."""
    plan = guest_plan(request, role, hypervisor.machine)
    if role == "sender" and request.nic.link == "unix":
        await_listener(request.link_socket, failed)
    try:
        with started(hypervisor, plan, login, watch, request.settings_of(role)) as guest:
            if request.saved is not None:
                _wake(request, role, guest)
            met(role, guest)
            yield guest
    finally:
        failed.set()
