"""A guest without a machine: real signals and real capture files, behind a hypervisor that has none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.plan.cases import SMALL
from lab.plan.domain import GuestFiles, plan_guest
from lab.plan.names import Role
from lab.plan.nics import NICS
from lab.provision.guest import Guest, Signals
from lab.provision.hypervisor import Hypervisor


class NoHypervisor(Hypervisor):
    """Starts nothing; its QEMUs answer or not, as told."""

    def __init__(self, *, answers: bool = True) -> None:
        super().__init__(connection=None, uri="none")
        self.qemu_answers = answers

    @property
    def qemu_version(self) -> str:
        return "7.2.22"

    @property
    def libvirt_version(self) -> str:
        return "9.0.0"

    def answers(self, domain: Any, limit: timedelta) -> bool:  # noqa: ANN401
        return self.qemu_answers


def guest(folder: Path, role: Role = "receiver", *, qemu_answers: bool = True) -> Guest:
    """Captures lie in `folder`/ROLE."""
    (folder / role).mkdir(parents=True, exist_ok=True)
    files = GuestFiles(
        "/k", "/i", "/u", str(folder / role / "console.log"), str(folder / role / "telemetry.jsonl"), "/r", "/l"
    )
    plan = plan_guest("0123abcd", role, NICS["virtio"], SMALL, files, accelerator="tcg", emulator="/qemu")
    return Guest(plan, "<domain/>", NoHypervisor(answers=qemu_answers), None, 22, Signals())
