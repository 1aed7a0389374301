"""Which accelerator this host really has: /dev/kvm existing proves nothing, a guest that booted under it does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from lab.errors import LabTrouble
from lab.filecache import key_of
from lab.paths import cache_root
from lab.provision.guest import started
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest, guest_plan

PROBE_LIMIT = timedelta(seconds=20)


def kvm_device_problem() -> str:
    """Why /dev/kvm cannot even be tried; "" when it can."""
    device = Path("/dev/kvm")
    if not device.exists():
        return "there is no /dev/kvm"
    return "" if os.access(device, os.R_OK | os.W_OK) else "/dev/kvm may not be opened by this user (group kvm)"


def boots(hypervisor: Hypervisor, request: PairRequest, *, accelerator: str, limit: timedelta) -> str:
    """Boot one guest of this request under an accelerator; "" when it became ready, else what happened instead."""
    plan = guest_plan(replace(request, accelerator=accelerator), "receiver")
    try:
        with started(hypervisor, plan) as guest:
            guest.wait_ready(limit)
    except LabTrouble as exc:
        return str(exc)
    return ""


def proved_accelerator(hypervisor: Hypervisor, request: PairRequest) -> tuple[str, str]:
    """`kvm` or `tcg` for the request's kernel, and the reason. Remembered by kernel and host."""
    problem = kvm_device_problem()
    if problem:
        return "tcg", problem
    key = key_of("accel-1", request.kernel.sha256, hypervisor.qemu_version, os.uname().release)
    memory = cache_root() / "accelerator" / f"{key}.json"
    if not memory.exists():
        said = boots(hypervisor, request, accelerator="kvm", limit=PROBE_LIMIT)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({"said": said}))
    said = json.loads(memory.read_text())["said"]
    return ("tcg", f"a guest did not boot under KVM: {said}") if said else ("kvm", "a guest booted under KVM")
