# SPDX-License-Identifier: GPL-2.0-only
"""Command lines of the guest programs that every guest has; clients and their peers are an experiment's own."""

from __future__ import annotations

from collections.abc import Sequence

from lab.plan.names import LinkAddress

BIN = "/usr/lib/lab"
LAYER = "/usr/lib/layer"
"""Where the programs lie that an experiment brings; images/guest/lab-init.c."""
CGROUPS = "/sys/fs/cgroup/lab"
FIRST_PORT = 5001
TELEMETRY_SOCKET = "/run/lab-telemetry"
"""Where a guest's telemetry takes a sample when asked; images/guest/lab-init.c."""
SEED_BYTES = 32
"""Of fresh entropy for a guest that was restored; images/guest/lab-init-wake.c."""


def cgroup_of(path: str) -> str:
    """Of a client or a group of a case, by its path below the cgroup of all."""
    return f"{CGROUPS}/{path}"


def checkpoint_argv(name: str, *, pages: bool = True, canary: str = "") -> tuple[str, ...]:
    """argv of the checkpoint that lies between two samples of telemetry.

    pages   it counts pages too        canary  it leaves a line with that token in the kernel's log; "" for none
    """
    argv = (f"{BIN}/lab-telemetry", "--once", name, "--socket", TELEMETRY_SOCKET)
    return (*argv, *(("--pages",) if pages else ()), *(("--canary", canary) if canary else ()))


def press_argv(size: int, *, until_stall: bool = False) -> tuple[str, ...]:
    """argv of the program that takes so much memory; with until_stall no more than makes one allocation reclaim."""
    return (f"{BIN}/lab-press", "--bytes", str(size), *(("--until-stall",) if until_stall else ()))


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
