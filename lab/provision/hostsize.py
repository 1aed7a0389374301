"""What this host has to give at this moment."""

from __future__ import annotations

import os
from pathlib import Path

from lab.plan.capacity import HostSize
from lab.units import KIB, MIB


def memory_mib(name: str) -> int:
    """One line of /proc/meminfo, e.g. MemTotal."""
    text = Path("/proc/meminfo").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")) * KIB // MIB


def host_size() -> HostSize:
    """Memory available now and CPUs this process may use."""
    return HostSize(memory_mib("MemAvailable"), len(os.sched_getaffinity(0)))
