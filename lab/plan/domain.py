# SPDX-License-Identifier: GPL-2.0-only
"""A guest's domain XML and kernel command line, as text."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from lab.plan.case import Shape
from lab.plan.names import Role, domain_name, mac
from lab.plan.nics import NicProfile

# Only PVH (the kernel as vmlinux) and cryptomgr.notests save much boot time under TCG (0.85 s and 0.5 s); the others
# keep a slow, noisy clock from being mistaken for a fault. panic=-1 makes every kernel death end QEMU at once;
# loglevel=5 keeps the boot quiet but lets a WARN of the boot reach the console.
# init_on_alloc=0: Debian's kernels clear every page twice otherwise, a third of what traffic costs here.
# norandmaps: TCG translates a program anew at every address that it has not run at. Where programs always lie at the
# same one, a command in a guest takes a half to a quarter of the time.
BASE_CMDLINE = (
    "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off init_on_alloc=0 cryptomgr.notests=1 "
    "tsc=reliable no_timer_check nokaslr norandmaps"
)


@dataclass(frozen=True)
class GuestFiles:
    """Paths on the hypervisor: what a guest is made of, and where its captures go.

    plugin counts the guest's instructions into the file `instructions`; "" where nobody asks for that.
    ram    holds the guest's memory where a state is saved or restored; "" for memory without a file.
    state  its devices as they were saved, to be restored; "" for a guest that boots.
    layer  programs beside those of the image, and the key by which the guest knows that disk; "" for none.
    """

    kernel: str
    initrd: str
    image: str
    console: str
    telemetry: str
    ready_socket: str
    link_socket: str
    plugin: str = ""
    instructions: str = ""
    ram: str = ""
    state: str = ""
    layer: str = ""
    layer_key: str = ""


@dataclass(frozen=True)
class Engine:
    """What runs a guest: kvm or tcg, the path of QEMU, and its machine type."""

    accelerator: str
    emulator: str
    machine: str


@dataclass(frozen=True)
class GuestPlan:
    """Everything libvirt is told about one guest. One with a `state` starts paused and takes that in.

    reads, writes, folders  the files that QEMU opens, and the directory it makes a socket in: it may run as somebody
                            who has to be let in to them
    shared                  the directory in which libvirt makes a socket for it
    """

    name: str
    role: Role
    memory_mib: int
    vcpus: int
    accelerator: str
    machine: str
    emulator: str
    kernel: str
    initrd: str
    image: str
    cmdline: str
    console: str
    telemetry: str
    ready_socket: str
    qemu_args: tuple[str, ...]
    state: str = ""
    layer: str = ""
    layer_key: str = ""
    instructions: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def cmdline(pair: str, role: Role, nic: NicProfile, layer: str) -> str:
    """Kernel command line of a guest; `lab.*` words are read by images/guest/lab-init.c. `layer`: its key, or ""."""
    words = [BASE_CMDLINE, f"lab.host={role}", f"lab.ctl={mac(pair, role, 'control')}"]
    if nic.module is not None:
        words += [f"lab.nic={nic.module}", f"lab.link={mac(pair, role, 'link')}"]
    if layer:
        words.append(f"lab.layer={layer}")
    return " ".join(words)


def link_netdev(role: Role, nic: NicProfile, link_socket: str, tap: str) -> str:
    """QEMU -netdev of the link. The receiver listens: a `stream` client that comes first stays dead before QEMU 8."""
    if nic.link == "tap":
        return f"tap,id=link,ifname={tap},script=no,downscript=no,vhost=off"
    server = "on" if role == "receiver" else "off"
    return f"stream,id=link,server={server},addr.type=unix,addr.path={link_socket}"


# QEMU would have a restored guest tell its neighbours where it is: by addresses that it is about to lose.
NO_ANNOUNCEMENT = ("-global", "migration.announce-rounds=0")

# Slots of the root bus that the domain template leaves free; igb works only at 0x8 or below.
SLOTS = {"control": 4, "link": 5}


def _device(model: str, options: str, netdev: str, address: str) -> list[str]:
    tail = f",{options}" if options else ""
    return ["-device", f"{model},netdev={netdev},mac={address},bus=pcie.0,addr={SLOTS[netdev]},romfile={tail}"]


def qemu_args(pair: str, role: Role, nic: NicProfile, link_socket: str, tap: str) -> tuple[str, ...]:
    """NICs go through the command line: libvirt 9 knows no AF_UNIX stream netdev, and slirp only without hostfwd."""
    args = ["-netdev", "user,id=control,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    args += _device("virtio-net-pci", "", "control", mac(pair, role, "control"))
    if nic.link != "none":
        args += ["-netdev", link_netdev(role, nic, link_socket, tap)]
        args += _device(nic.model, nic.options, "link", mac(pair, role, "link"))
    return tuple(args)


def plan_guest(
    pair: str,
    role: Role,
    nic: NicProfile,
    shape: Shape,
    files: GuestFiles,
    engine: Engine,
    *,
    born: str = "",
) -> GuestPlan:
    """The plan of one guest: a pure function of its arguments.

    born  the pair whose saved state this guest is restored from; devices and command line must be as they were there
    """
    memory = shape.receiver_mib if role == "receiver" else shape.sender_mib
    return GuestPlan(
        name=domain_name(pair, role),
        role=role,
        memory_mib=memory,
        vcpus=shape.vcpus(role),
        accelerator=engine.accelerator,
        machine=engine.machine,
        emulator=engine.emulator,
        kernel=files.kernel,
        initrd=files.initrd,
        image=files.image,
        cmdline=cmdline(born or pair, role, nic, files.layer_key),
        console=files.console,
        telemetry=files.telemetry,
        ready_socket=files.ready_socket,
        qemu_args=(
            *qemu_args(born or pair, role, nic, files.link_socket, tap_name(pair, role)),
            *_counting(files),
            *_memory(files, memory),
        ),
        state=files.state,
        layer=files.layer,
        layer_key=files.layer_key,
        instructions=files.instructions if files.plugin else "",
        reads=tuple(filter(None, (files.kernel, files.initrd, files.image, files.layer, files.plugin))),
        writes=tuple(filter(None, (files.console, files.telemetry, files.ram, files.plugin and files.instructions))),
        folders=(files.link_socket.rpartition("/")[0],),
        shared=(files.ready_socket.rpartition("/")[0],),
    )


def _counting(files: GuestFiles) -> tuple[str, ...]:
    """images/qemu/lab-insn.c"""
    return ("-plugin", f"file={files.plugin},out={files.instructions}") if files.plugin else ()


def _memory(files: GuestFiles, size_mib: int) -> tuple[str, ...]:
    """Memory in a file: written through while a state is made, never again after; guests restored from it share what
    none of them has written to."""
    if not files.ram:
        return ()
    share = "off" if files.state else "on"
    backend = f"memory-backend-file,id=ram,size={size_mib}M,mem-path={files.ram},share={share}"
    incoming = ("-incoming", "defer", *NO_ANNOUNCEMENT) if files.state else ()
    return ("-object", backend, "-machine", "memory-backend=ram", *incoming)


def tap_name(pair: str, role: Role) -> str:
    """Name of the tap device of one end; at most 15 characters."""
    return f"t{pair[:8]}{role[0]}"


@functools.cache
def _template() -> Template:
    """Compiled once: that takes longer than all else about a guest's plan."""
    env = Environment(loader=PackageLoader("lab.plan", "."), autoescape=True, undefined=StrictUndefined)
    return env.get_template("domain.xml.j2")


def render(plan: GuestPlan) -> str:
    """Domain XML."""
    return _template().render(g=plan)
