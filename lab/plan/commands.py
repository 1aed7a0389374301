# SPDX-License-Identifier: GPL-2.0-only
"""Command lines of the guest programs."""

from __future__ import annotations

from collections.abc import Sequence

from lab.plan.case import ClientSpec
from lab.plan.names import LinkAddress

BIN = "/usr/lib/lab"
CGROUPS = "/sys/fs/cgroup/lab"
FIRST_PORT = 5001
TELEMETRY_SOCKET = "/run/lab-telemetry"
"""Where a guest's telemetry takes a sample when asked; images/guest/lab-init.c."""
SEED_BYTES = 32
"""Of fresh entropy for a guest that was restored; images/guest/lab-init-wake.c."""


def cgroup_of(path: str) -> str:
    """Of a client or a group of a case, by its path below the cgroup of all."""
    return f"{CGROUPS}/{path}"


def client_argv(client: ClientSpec, port: int, seed: int) -> tuple[str, ...]:
    """argv of zc-client; it is a server on `port`."""
    argv = [f"{BIN}/zc-client", "--behaviour", client.behaviour, "--name", client.name, "--port", str(port)]
    argv += ["--sockets", str(client.sockets), "--bytes", str(client.deliver), "--cgroup", cgroup_of(client.path)]
    if client.accepts_in:
        argv += ["--accept-in", cgroup_of(client.accepts_in.path)]
    if client.ring:
        argv += ["--ring", str(client.ring)]
    if client.rcvbuf:
        argv += ["--rcvbuf", str(client.rcvbuf)]
    if client.leave:
        argv += ["--leave", str(client.leave)]
    if client.unkillable:
        argv += ["--unkillable"]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    return tuple(argv)


def sender_argv(client: ClientSpec, address: str, port: int, seed: int, mss: int = 0) -> tuple[str, ...]:
    """argv of the zc-sender that feeds this client; mss is that of the NIC profile."""
    argv = [f"{BIN}/zc-sender", "--to", address, "--port", str(port), "--sockets", str(client.sockets)]
    argv += ["--bytes", str(client.deliver), "--seed", str(seed)]
    if not client.verify:
        argv += ["--repeat"]  # who does not look at the bytes need not wait until they are made
    if client.rate:
        argv += ["--rate", str(client.rate)]
    if mss:
        argv += ["--mss", str(mss)]
    return tuple(argv)


def checkpoint_argv(name: str, *, pages: bool = True, canary: str = "") -> tuple[str, ...]:
    """argv of the checkpoint that lies between two samples of telemetry.

    pages   it counts pages too        canary  it leaves a line with that token in the kernel's log; "" for none
    """
    argv = (f"{BIN}/lab-telemetry", "--once", name, "--socket", TELEMETRY_SOCKET)
    return (*argv, *(("--pages",) if pages else ()), *(("--canary", canary) if canary else ()))


def press_argv(size: int) -> tuple[str, ...]:
    return (f"{BIN}/lab-press", "--bytes", str(size))


def wake_order(
    now_ns: int, seed: bytes, hostkey: bytes, login: str, mac: str = "-", link: LinkAddress | None = None
) -> str:
    """The line that makes a restored guest one of its own: clock, entropy, host key, addresses ("-": as they are), and
    the key that it lets in."""
    v4, v6 = (link.v4, link.v6) if link else ("-", "-")
    return f"wake {now_ns} {seed.hex()} {hostkey.hex()} {mac} {v4} {v6} {login}"


def admit_order(hostkey: bytes, login: str) -> str:
    """The line that gives a guest its host key, as dropbear reads it, and has it let this key in, given as the base64
    of its public half."""
    return f"admit {hostkey.hex()} {login}"


def all_settings(settings: Sequence[str], link: LinkAddress | None) -> tuple[str, ...]:
    """Those of the profile, then the addresses of a link, which is brought up last: another reset of a NIC would cost
    seconds of carrier."""
    return (*settings, *((f"address {link.v4} {link.v6}", "up") if link else ()))


def settle_orders(settings: Sequence[str]) -> tuple[str, ...]:
    """The lines that have a guest make these settings, and say how many of them are in force."""
    return (*(f"set {setting}" for setting in settings), "settled")
