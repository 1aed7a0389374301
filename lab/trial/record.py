# SPDX-License-Identifier: GPL-2.0-only
"""What the manifest of a run says: the kernel, the host, the pair, the clients, and how to repeat it."""

from __future__ import annotations

import os
import platform
import shlex
from pathlib import Path
from typing import Any

from lab.contracts import BootableKernel, GuestImage
from lab.evidence.manifest import HostRecord, KernelRecord, PairRecord, Seconds
from lab.experiments.found import as_typed, case_named
from lab.host.size import cpu_of, memory_mib
from lab.host.version import lab_version
from lab.plan.commands import FIRST_PORT
from lab.plan.design import Predicted
from lab.plan.domain import cmdline
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.provision.hypervisor import Hypervisor
from lab.trial.life import Life


def kernel_record(kernel: BootableKernel) -> KernelRecord:
    return KernelRecord(
        name=kernel.name,
        release=kernel.release,
        design=kernel.design,
        sha256=kernel.sha256,
        config_sha256=kernel.config_sha256,
        initrd_sha256=kernel.initrd_sha256,
        base=kernel.base,
        series=kernel.series,
        fragments=kernel.fragments,
        described=kernel.described,
    )


def host_record(
    hypervisor: Hypervisor, accelerator: str, connection: str, image: GuestImage, why: str = ""
) -> HostRecord:
    """`why` there is no other accelerator, or what was odd about it; "" for nothing to tell."""
    return HostRecord.model_validate(
        {
            "qemu": hypervisor.qemu_version,
            "libvirt": hypervisor.libvirt_version,
            "accelerator": accelerator,
            "accelerator_why": why,
            "connection": connection,
            "machine": hypervisor.machine,
            "image_sha256": image.sha256,
            "node": platform.node(),
            "system": platform.release(),
            "cpu": cpu_of(Path("/proc/cpuinfo").read_text()),
            "cpus": os.cpu_count() or 0,
            "memory_mib": memory_mib("MemTotal"),
        }
    )


def manifest_fields(life: Life, plan: SessionPlan, started: str, predicted: Predicted) -> dict[str, Any]:
    """The manifest but for the files."""
    run, kernel, layer = life.run, plan.kernel(life.run.kernel), plan.layer(life.run.layer)
    hypervisor = life.keeper.hypervisor
    pair_id = "" if life.skip else life.keeper.captures.name
    born = life.pair.pair.request.born if life.pair else ""
    shape, traffic = run.shape, life.case.traffic
    tested = life.pair.pair.request.tested if life.pair else life.case.tested
    return {
        "run": run.id,
        "case": run.case,
        "nic": run.nic,
        "repeat": run.repeat,
        "predicted": predicted.value,
        "kernel": kernel_record(kernel),
        "host": host_record(hypervisor, plan.accelerator, plan.connect, plan.image, plan.accelerator_why),
        "pair": PairRecord(
            id=pair_id,
            shape=shape.name,
            receiver_mib=shape.receiver_mib,
            sender_mib=shape.sender_mib,
            vcpus=shape.vcpus(tested),
            runs_before=life.runs_before,
            cmdline=cmdline(born or pair_id, tested, run.profile, run.layer),
            warm=life.pair.warm if life.pair else "",
            note=life.pair.note if life.pair else "",
        ),
        "mtu": run.profile.mtu,
        "floor": traffic.preflight.floor(run.profile) if traffic else run.profile.floor,
        "tested": life.case.tested,
        "layer": layer.key if layer else "",
        "layer_sha256": layer.sha256 if layer else "",
        "family": run.family,
        "clients": _client_records(life),
        "incidents": life.incidents,
        "seconds": Seconds(**{k: round(v, 3) for k, v in life.seconds.items()}),
        "started": started,
        "lab_version": lab_version(),
        "session": plan.name,
        "skip": life.skip,
        "reference": run.reference,
        "reproduce": _reproduce(run, plan),
    }


def _reproduce(run: Run, plan: SessionPlan) -> str:
    """The command that runs this cell again."""

    def asked(name: str) -> str:
        return shlex.quote(plan.kernel(name).asked or name)

    compared = f" --reference {asked(run.reference)}" if run.reference else ""
    family = f" --family {run.family}" if case_named(run.case).clients else ""
    return f"{as_typed(run.case)} --kernel {asked(run.kernel)} --nic {run.nic}{family}{compared}"


def _client_records(life: Life) -> list[dict[str, Any]]:
    """What the manifest says of each client, started or not."""
    run, pair, traffic = life.run, life.pair, life.case.traffic
    if traffic is None:
        return []
    address = pair.pair.addresses[pair.pair.request.tested].of(run.family) if pair else ""
    return [
        {
            "name": spec.name,
            "behaviour": spec.behaviour,
            "limit": spec.limit,
            "deliver": spec.deliver,
            "argv": traffic.client(spec, port, run.seed),
            "peer_argv": traffic.peer(spec, address, port, run.seed, run.profile.mss),
            "seed": run.seed,
            "status": stream.client.status if stream else None,
            "peer_status": stream.peer.status if stream else None,
            "lowered": spec.lowered,
            "killed": spec.name in life.killed,
        }
        for port, spec in enumerate(life.case.clients, start=FIRST_PORT)
        for stream in [life.streams.get(spec.name)]
    ]
