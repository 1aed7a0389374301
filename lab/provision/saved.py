# SPDX-License-Identifier: GPL-2.0-only
"""Saving a guest's devices to a file, and taking them in again. Its memory is in a file of its own (domain.py).

QEMU's capability x-ignore-shared leaves memory out of the stream: what is written here is about half a MiB.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from pathlib import Path

from lab.errors import HostTrouble
from lab.provision.hypervisor import Hypervisor
from lab.provision.libvirt_api import Domain
from lab.provision.states import store
from lab.units import Deadline, wait_until

LIMIT = timedelta(seconds=30)
FDSETS = (9, 1)
"""QEMU from which on `fd:` is deprecated for a plain file, in favour of `file:` with a set of descriptors."""
POLL = timedelta(milliseconds=5)


SELINUX = Path("/sys/fs/selinux/enforce")


def memory_refused(message: str) -> bool:
    """Whether these words are QEMU's for a file of memory that it may not open (QEMU's softmmu/physmem.c)."""
    return "can't open backing store" in message


def memory_cure(enforce: Path = SELINUX) -> str:
    """What lets QEMU keep a guest's memory in a file: libvirt labels no file that it was not told of."""
    return f"sudo chcon -R -t svirt_image_t {store()}" if is_enforcing(enforce) else f"let QEMU's user into {store()}"


def is_enforcing(enforce: Path = SELINUX) -> bool:
    with contextlib.suppress(OSError):
        return enforce.read_text().strip() == "1"
    return False


class RefusedError(HostTrouble):
    """QEMU itself will not go on with what it was given."""


def _prepare(hypervisor: Hypervisor, domain: Domain, file: int) -> str:
    """QEMU gets the file as an open descriptor: libvirt's sandbox lets it start no program and open little. Returns
    what QEMU calls it."""
    capability = {"capability": "x-ignore-shared", "state": True}
    hypervisor.order(domain, "migrate-set-capabilities", capabilities=[capability])
    if hypervisor.qemu[:2] < FDSETS:
        hypervisor.order(domain, "getfd", [file], fdname="state")
        return "fd:state"
    return f"file:/dev/fdset/{int(hypervisor.order(domain, 'add-fd', [file])['fdset-id'])}"


def _await(hypervisor: Hypervisor, domain: Domain, name: str) -> None:
    """libvirt tells nobody of a migration that it did not begin: ask until it is over."""

    def over() -> tuple[bool | None, object]:
        status = hypervisor.order(domain, "query-migrate")
        if status.get("status") in ("failed", "cancelled"):
            raise RefusedError(f"QEMU cannot {name}: {status.get('error-desc', status['status'])}")
        return (True if status.get("status") == "completed" else None), status.get("status", "not begun")

    wait_until(over, deadline=Deadline.after(f"QEMU to {name}", LIMIT), pause=POLL)


def save(hypervisor: Hypervisor, domain: Domain, state: Path) -> None:
    """Write the devices of a suspended guest. It must not run again: its memory belongs to the state now.

    Raises HostTrouble, DeadlinePassed.
    """
    file = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        hypervisor.order(domain, "migrate", uri=_prepare(hypervisor, domain, file))
        _await(hypervisor, domain, f"save {state.name}")
    finally:
        os.close(file)


def take_in(hypervisor: Hypervisor, domain: Domain, state: Path) -> None:
    """Restore the devices of a guest that was started for it, and let it run. Raises HostTrouble, DeadlinePassed."""
    file = os.open(state, os.O_RDONLY | os.O_CLOEXEC)
    try:
        hypervisor.order(domain, "migrate-incoming", uri=_prepare(hypervisor, domain, file))
        _await(hypervisor, domain, f"restore {state.name}")
    finally:
        os.close(file)
    hypervisor.resume(domain)
