# SPDX-License-Identifier: GPL-2.0-only
"""A QEMU process as the host sees it: what /proc says of it, a handle on it, and what it may write."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.provision.gaps import Look

VCPU = "CPU "
"""How the names of QEMU's vCPU threads begin: `CPU 0/TCG`."""


@dataclass
class Emulator:
    """A running QEMU. The handle stays its own when the pid is given to somebody else."""

    pid: int
    handle: int

    @classmethod
    def of(cls, pid: int) -> Emulator:
        """Raises ProcessLookupError when there is no such process."""
        return cls(pid, os.pidfd_open(pid))

    @property
    def gone(self) -> bool:
        """Whether it has ended, be it as a zombie."""
        return await_end([self], 0)

    def look(self) -> Look:
        """Raises OSError when it is gone, or the host does not let us look."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        state = stat[stat.rindex(")") + 2]
        waits = [_waited(task) for task in self._vcpus()]
        return Look(
            t=time.monotonic(),
            boot=time.clock_gettime(time.CLOCK_BOOTTIME),
            stopped=state in "Tt",
            waited=sum(waits) / len(waits),
        )

    def _vcpus(self) -> list[Path]:
        """Its vCPU threads; all of its threads where none is named so."""
        tasks = list(Path(f"/proc/{self.pid}/task").iterdir())
        vcpus = [task for task in tasks if (task / "comm").read_text().startswith(VCPU)]
        return vcpus or tasks

    def limit_files(self, size: int) -> None:
        """From now on the kernel ends it (SIGXFSZ) when it writes to a file beyond that size. No core is dumped."""
        with contextlib.suppress(PermissionError, ProcessLookupError):  # the watch still looks
            for what, soft in ((resource.RLIMIT_FSIZE, size), (resource.RLIMIT_CORE, 0)):
                hard = resource.prlimit(self.pid, what)[1]
                allowed = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
                resource.prlimit(self.pid, what, (allowed, hard))

    def end(self) -> None:
        """At once, stopped or not."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def close(self) -> None:
        os.close(self.handle)


def await_end(emulators: Iterable[Emulator], seconds: float) -> bool:
    """Whether one of them has ended by then."""
    waiter = select.poll()
    for emulator in emulators:
        waiter.register(emulator.handle, select.POLLIN)
    return bool(waiter.poll(seconds * 1000))


def _waited(task: Path) -> float:
    """Seconds it was ready to run and had no CPU (Documentation/scheduler/sched-stats.rst); 0 on a host that does not
    keep account of that."""
    try:
        return int((task / "schedstat").read_text().split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def find_emulator(domain: str) -> Emulator | None:
    """The QEMU of a domain; None when there is none (any more)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if _is_of((entry / "cmdline").read_bytes().split(b"\0"), domain):
                    return Emulator.of(int(entry.name))
    return None


def _is_of(argv: list[bytes], domain: str) -> bool:
    """Whether it has libvirt's `-name guest=DOMAIN,...`."""
    named = argv[argv.index(b"-name") + 1 :][:1] if b"-name" in argv else []
    return any(word.split(b",")[0] == b"guest=" + domain.encode() for word in named)
