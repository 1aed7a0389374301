# SPDX-License-Identifier: GPL-2.0-only
"""Where and when something was measured, as flat keys."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

from lab.errors import LabTrouble
from lab.host.commands import run
from lab.host.paths import project_root
from lab.provision.qemu import installed_qemu
from lab.units import KIB, MIB


def context(command: str) -> dict[str, Any]:
    """Machine, versions, date (UTC) and the command of a record. The load is that of the last five minutes."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu_model": cpu_model(Path("/proc/cpuinfo").read_text()),
        "memory_mib": total_mib(Path("/proc/meminfo").read_text()),
        "load_5min": round(os.getloadavg()[1], 1),
        "host_kernel": platform.release(),
        "qemu": str(installed_qemu()),
        "libvirt": _libvirt(),
        "python": platform.python_version(),
        "lab": _lab(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def cpu_model(cpuinfo: str) -> str:
    """Name of the first CPU in /proc/cpuinfo; "" where it names none."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def total_mib(meminfo: str) -> int:
    """MemTotal of /proc/meminfo in MiB, 0 where it is not told."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * KIB // MIB if found else 0


def _libvirt() -> str:
    import libvirt

    n = int(libvirt.getVersion())
    return f"{n // 1_000_000}.{n // 1000 % 1000}.{n % 1000}"


def _lab() -> str:
    """Version and, in a checkout, commit; `+` after it where files were changed."""
    version = importlib.metadata.version("lab")
    try:
        told = run(["git", "describe", "--always", "--dirty=+"], cwd=project_root()).decode().strip()
    except LabTrouble:  # installed from elsewhere, or no git
        return version
    return f"{version} {told}"
