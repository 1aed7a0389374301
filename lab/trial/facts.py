# SPDX-License-Identifier: GPL-2.0-only
"""What every record says of the kernel and of the host, whatever was run on them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from lab.contracts import BootableKernel, GuestImage
from lab.evidence.manifest import HostRecord, KernelRecord
from lab.host.size import cpu_of, memory_mib
from lab.provision.hypervisor import Hypervisor


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
            "machine": "q35",
            "image_sha256": image.sha256,
            "node": platform.node(),
            "system": platform.release(),
            "cpu": cpu_of(Path("/proc/cpuinfo").read_text()),
            "cpus": os.cpu_count() or 0,
            "memory_mib": memory_mib("MemTotal"),
        }
    )
