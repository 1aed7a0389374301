# SPDX-License-Identifier: GPL-2.0-only
"""A guest without a machine: real signals and real capture files, behind a hypervisor that has none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

from lab.plan.domain import Engine, GuestFiles, plan_guest
from lab.plan.names import Role
from lab.plan.nics import NICS
from lab.provision.guest import Guest, Signals
from lab.provision.hypervisor import Hypervisor
from lab.provision.libvirt_api import Connection, Domain
from suites.rx_zerocopy.case import SMALL


class NoHypervisor(Hypervisor):
    """Starts nothing; its QEMUs answer or not, as told."""

    def __init__(self, *, answers: bool = True) -> None:
        super().__init__(connection=cast(Connection, None), uri="none", versions=(7_002_022, 9_000_000))
        self.qemu_answers = answers

    def answers(self, domain: Domain, limit: timedelta) -> bool:
        return self.qemu_answers


def guest(folder: Path, role: Role = "receiver", *, qemu_answers: bool = True) -> Guest:
    """Captures lie in `folder`/ROLE."""
    (folder / role).mkdir(parents=True, exist_ok=True)
    files = GuestFiles(
        "/k", "/i", "/u", str(folder / role / "console.log"), str(folder / role / "telemetry.jsonl"), "/r", "/l"
    )
    plan = plan_guest("0123abcd", role, NICS["virtio"], SMALL, files, Engine("tcg", "/qemu", "pc-q35-7.2"))
    return Guest(plan, "<domain/>", NoHypervisor(answers=qemu_answers), cast(Domain, None), 22, Signals())
