# SPDX-License-Identifier: GPL-2.0-only
"""What the installed QEMU is and has, asked of the program itself; libvirt is not needed for that."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from lab.host.commands import run
from lab.plan.nics import LEAST_QEMU, NicProfile, dotted
from lab.provision.namespace import can_make_namespace

EMULATOR = "qemu-system-x86_64"
_VERSION = re.compile(r"version (\d+)\.(\d+)(?:\.(\d+))?")
_MACHINE = re.compile(r"^(pc-q35\S*)[^\n]*?(\(deprecated\))?$", re.MULTILINE)
_ALIAS = re.compile(r"^q35 .*\(alias of (\S+)\)", re.MULTILINE)
_DEVICE = re.compile(r'^name "([^"]+)"', re.MULTILINE)


MACHINES = ("pc-q35-7.2", "pc-q35-10.0")
"""Machine types that the lab was tried on. The first that a QEMU has, and does not call deprecated, is taken: so hosts
run the same machine as long as they can, and `q35` does not become another one with each QEMU. QEMU deprecates a type
after three years and drops it after six."""


@dataclass(frozen=True)
class Qemu:
    """version as (major, minor, patch); devices: every `-device` model it has."""

    version: tuple[int, int, int]
    devices: frozenset[str]

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def installed_qemu() -> Qemu | None:
    """None when there is none on PATH. Raises CommandFailed when it does not run."""
    if shutil.which(EMULATOR) is None:
        return None
    version = run([EMULATOR, "--version"]).decode(errors="replace")
    # QEMU tells `-device help` on standard output when asked for it, and exits with 0.
    return parse_qemu(version, run([EMULATOR, "-device", "help"]).decode(errors="replace"))


def parse_qemu(version: str, devices: str) -> Qemu:
    """From the texts of `--version` and `-device help`."""
    match = _VERSION.search(version)
    numbers = (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)
    return Qemu(numbers, frozenset(_DEVICE.findall(devices)))


def machine_type() -> str:
    """The machine type of guests here. Raises CommandFailed, and HostTrouble where QEMU is missing."""
    return chosen_machine(run([EMULATOR, "-machine", "help"]).decode(errors="replace"))


def chosen_machine(machines: str) -> str:
    """From the text of `-machine help`: one of MACHINES, else what `q35` stands for. It never is a name that changes
    its meaning, unless QEMU does not say what that is."""
    here = {name: bool(deprecated) for name, deprecated in _MACHINE.findall(machines)}
    fit = [name for name in MACHINES if here.get(name) is False]
    alias = _ALIAS.search(machines)
    return fit[0] if fit else alias[1] if alias else "q35"


def qemu_too_old(qemu: Qemu) -> str:
    """Why the lab cannot run with this QEMU at all; "" when it can."""
    if qemu.version[:2] >= LEAST_QEMU:
        return ""
    return f"QEMU {qemu} has no AF_UNIX stream link; the lab needs {dotted(LEAST_QEMU)} or newer"


def cannot_run(nic: NicProfile, qemu: Qemu | None) -> str:
    """Why this host cannot run a NIC profile; "" when it can."""
    if qemu is None:
        return f"no {EMULATOR} on PATH"
    if qemu.version[:2] < nic.min_qemu:
        return f"needs QEMU >= {dotted(nic.min_qemu)}, this is {qemu}"
    if nic.model and nic.model not in qemu.devices:
        return f"this QEMU {qemu} has no {nic.model}"
    return can_make_namespace() if nic.link == "tap" else ""
