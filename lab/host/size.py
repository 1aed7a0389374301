# SPDX-License-Identifier: GPL-2.0-only
"""What this host has to give at this moment."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

from lab.contracts import HostSize
from lab.errors import HostTrouble
from lab.host.filecache import key_of
from lab.units import KIB, MIB

FILES = 256
"""That a process with guests may have open at once."""


CPU = ("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags")
"""Of /proc/cpuinfo: what a guest under KVM sees of the host's CPU follows from these. Speed and load change."""


def memory_mib(name: str) -> int:
    """One line of /proc/meminfo, e.g. MemTotal."""
    text = Path("/proc/meminfo").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")) * KIB // MIB


def require_files() -> None:
    """Raises HostTrouble when this process may not open enough files for guests, and cannot have it changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise HostTrouble(
            f"this process may open {hard} files at once, and guests need {FILES}", hint=f"ulimit -n {FILES}"
        )
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def host_size() -> HostSize:
    """Memory available now and CPUs this process may use."""
    return HostSize(memory_mib("MemAvailable"), len(os.sched_getaffinity(0)))


def cpu_of(cpuinfo: str) -> str:
    """A host's CPU. Its name alone is no key: platform.processor() is "" on many, and a virtual host that is moved
    while it runs keeps its boot_id and gets other features."""
    first = [line.partition(":") for line in cpuinfo.split("\n\n", maxsplit=1)[0].splitlines()]
    facts = {name.strip(): value.strip() for name, _, value in first}
    return f"{facts.get('model name', platform.machine())} {key_of(*(facts.get(name, '') for name in CPU))}"
