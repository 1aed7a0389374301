"""Which accelerator this host really has: /dev/kvm existing proves nothing, a guest that booted under it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.contracts import BootableKernel
from lab.errors import LabTrouble
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from lab.host.records import read_record, write_record
from lab.provision.guest import started
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest, emulator, guest_plan
from lab.provision.sound import require_sound

PROBE_LIMIT = timedelta(seconds=20)


def kvm_device_problem() -> str:
    """Why /dev/kvm cannot even be tried; "" when it can."""
    device = Path("/dev/kvm")
    if not device.exists():
        return "there is no /dev/kvm"
    return "" if os.access(device, os.R_OK | os.W_OK) else "/dev/kvm may not be opened by this user (group kvm)"


def boots(hypervisor: Hypervisor, request: PairRequest, *, accelerator: str, limit: timedelta) -> str:
    """Boot one guest of this request under an accelerator; "" when it became ready, else what happened instead.

    Raises HostTrouble where what it would boot from is damaged: that says nothing of the accelerator.
    """
    require_sound(request.kernel, request.image, request.plugin)
    plan = guest_plan(replace(request, accelerator=accelerator), "receiver")
    try:
        with started(hypervisor, plan) as guest:
            guest.wait_ready(limit)
    except LabTrouble as exc:
        return str(exc)
    return ""


@dataclass(frozen=True)
class Proof:
    """`kvm` or `tcg`, and why."""

    accelerator: str
    reason: str


def remembered(kernel: BootableKernel) -> Proof | None:
    """What was proved before for this kernel, QEMU and host kernel; None when that has to be tried first."""
    problem = kvm_device_problem()
    if problem:
        return Proof("tcg", problem)
    return read_record(_memory(kernel), _proof)


def prove(hypervisor: Hypervisor, request: PairRequest) -> Proof:
    """Boot a guest of the request's kernel under KVM, once for each kernel, QEMU and host kernel."""
    known = remembered(request.kernel)
    if known is not None:
        return known
    record = {"said": boots(hypervisor, request, accelerator="kvm", limit=PROBE_LIMIT)}
    write_record(_memory(request.kernel), record)
    return _proof(record)


def _proof(record: Mapping[str, Any]) -> Proof:
    """Raises KeyError, TypeError for what is no record of a proof."""
    said = record["said"]
    if not isinstance(said, str):
        raise TypeError("what the guest said is no text")
    return Proof("tcg", f"a guest did not boot under KVM: {said}") if said else Proof("kvm", "a guest booted under KVM")


def _memory(kernel: BootableKernel) -> Path:
    qemu = Path(emulator()).resolve()
    stamp = f"{qemu} {qemu.stat().st_size} {qemu.stat().st_mtime_ns}"
    return cache_root() / "accelerator" / f"{key_of('1', kernel.sha256, stamp, os.uname().release)}.json"
