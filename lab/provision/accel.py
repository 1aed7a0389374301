# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator this host really has: /dev/kvm existing proves nothing, a guest that booted under it does.

What is remembered, until this host boots anew, is that a guest booted, that KVM or QEMU itself refused one, or that one
said nothing at all under KVM, twice, and booted under TCG right after each time. A busy host, a deadline, a full disk
or a kernel that dies say nothing of the next time, and are forgotten.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from lab.contracts import EMBEDDED, BootableKernel
from lab.errors import DeadlinePassed, HostTrouble, LabTrouble
from lab.evidence.console import parse_console
from lab.evidence.model import Grade
from lab.host.filecache import key_of
from lab.host.paths import cache_root
from lab.host.records import read_record, write_record
from lab.plan.channels import CONSOLE
from lab.plan.limits import times_slower
from lab.provision.guest import Guest, started
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest, emulator, guest_plan
from lab.provision.sound import require_sound
from lab.provision.states import CONNECTIONS, boot_id
from lab.text.words import one_line

PROBE_LIMIT = timedelta(seconds=20)
"""For a boot under KVM, which takes a second or two."""
TCG_LIMIT = timedelta(seconds=60)
ANSWER_LIMIT = timedelta(seconds=2)
SILENCES = 2
"""How often a guest has to have said nothing. A first time may be chance; each costs a session PROBE_LIMIT."""
MOST = 300
"""Characters of a reason."""

_OF_KVM = re.compile(r"qemu-system-\w+: .*(kvm|\bMSR\b)|does not support virt type '?kvm", re.IGNORECASE)
_PASSES = re.compile(
    r"Cannot allocate memory|Device or resource busy|Resource temporarily unavailable|Too many open files"
    r"|Interrupted system call|No space left|Input/output error"
)
"""Errors that the same call may not give again (strerror of ENOMEM, EBUSY, EAGAIN, EMFILE, ENFILE, EINTR, ENOSPC, EIO);
EBUSY is another hypervisor that holds the CPU's extensions."""


def kvm_device_problem(connection: str = EMBEDDED, device: Path = Path("/dev/kvm")) -> str:
    """Why /dev/kvm cannot even be tried; "" when it can, or when only QEMU's own user could tell.

    A driver of this user's has QEMU run as this user. The system's daemon has it run as somebody else, and may open the
    device for that user: there a guest has to show it.
    """
    if not device.exists():
        return f"there is no {device}"
    if connection not in CONNECTIONS or os.access(device, os.R_OK | os.W_OK):
        return ""
    return f"{device} may not be opened by this user (group kvm)"


@dataclass(frozen=True)
class Tried:
    """What became of one guest.

    problem  why it did not get ready, "" when it did     refused  KVM or QEMU would not run it, and will not next time
    silent   until the deadline its console was empty     splat    what its kernel complained of, "" for nothing
    """

    problem: str = ""
    refused: bool = False
    silent: bool = False
    splat: str = ""


def boots(hypervisor: Hypervisor, request: PairRequest, *, accelerator: str, limit: timedelta) -> Tried:
    """Boot one guest of this request under an accelerator; a debug kernel may take longer than the limit.

    Raises HostTrouble where what it would boot from is damaged: that says nothing of the accelerator.
    """
    require_sound(request.kernel, request.images, request.plugin)
    plan = guest_plan(replace(request, accelerator=accelerator), "receiver", hypervisor.machine)
    Path(plan.console).unlink(missing_ok=True)  # what an earlier try left
    tried = Tried()
    try:
        with started(hypervisor, plan) as guest:
            tried = _waited(guest, limit * times_slower(request.kernel.fragments))
    except LabTrouble as exc:
        refused = isinstance(exc, HostTrouble) and is_refusal(exc.message)
        tried = Tried(brief(exc), refused, silent=isinstance(exc, DeadlinePassed) and not _spoke(Path(plan.console)))
    return replace(tried, splat=_splat(Path(plan.console)))


def _waited(guest: Guest, limit: timedelta) -> Tried:
    """Raises GuestLost, and DeadlinePassed where it is not KVM that gave up."""
    try:
        guest.wait_ready(limit)
    except DeadlinePassed as exc:
        # QEMU pauses a guest that KVM cannot run: accel/kvm/kvm-all.c, RUN_STATE_INTERNAL_ERROR
        status = guest.hypervisor.status(guest.domain, ANSWER_LIMIT)
        if "internal-error" in status:
            return Tried(f"KVM gave up: {one_line(status, MOST)}", refused=True)
        raise exc from None
    return Tried()


def is_refusal(message: str) -> bool:
    """Whether these are QEMU's or libvirt's words for a KVM that it cannot use, and not for lack of something else."""
    return bool(_OF_KVM.search(message)) and not _PASSES.search(message)


def brief(trouble: LabTrouble) -> str:
    """What happened, on one line that a table can bear."""
    return one_line(trouble.message, MOST)


def _spoke(console: Path) -> bool:
    """Where it cannot be read nobody knows, and it may have."""
    try:
        return console.stat().st_size > 0
    except OSError:
        return True


def _splat(console: Path) -> str:
    """The first fault that a console tells of; "" for none. What a guest writes may be long."""
    with contextlib.suppress(OSError), console.open("rb") as stream:
        splats = parse_console(console.name, stream.read(CONSOLE.size)).splats
        return next((one_line(splat.title, MOST) for splat in splats if splat.grade is Grade.FAULT), "")
    return ""


@dataclass(frozen=True)
class Proof:
    """`kvm` or `tcg`, or "" for a kernel that boots under neither; why; and what the kernel complained of."""

    accelerator: Literal["kvm", "tcg", ""]
    reason: str
    splat: str = ""


def remembered(kernel: BootableKernel, connection: str = EMBEDDED) -> Proof | None:
    """What was proved before, since this host booted, for this kernel, QEMU and connection; None when that has to be
    tried first."""
    problem = kvm_device_problem(connection)
    if problem:
        return Proof("tcg", problem)
    return read_record(_memory(kernel, connection), _proof)


def prove(hypervisor: Hypervisor, request: PairRequest) -> Proof:
    """Boot a guest of the request's kernel under KVM, where that is not known; see the top of this file.

    Where that does not work and nobody refused it, the kernel is tried under TCG as well: it may boot nowhere.
    """
    kernel, connection = request.kernel, hypervisor.uri if hypervisor.root is None else EMBEDDED
    known = remembered(kernel, connection)
    if known is not None:
        return known
    tried = boots(hypervisor, request, accelerator="kvm", limit=PROBE_LIMIT)
    if not tried.problem:
        proof = Proof("kvm", f"a guest with {kernel.name} booted under KVM", tried.splat)
    elif tried.refused:
        proof = Proof("tcg", f"KVM refuses a guest with {kernel.name}: {tried.problem}")
    else:
        proof = _otherwise(hypervisor, request, tried)
        if not (proof.accelerator and tried.silent and _silences(kernel, connection) >= SILENCES):
            return proof
        proof = replace(proof, reason=f"{kernel.name} said nothing under KVM, {SILENCES} times: {tried.problem}")
    with contextlib.suppress(OSError):  # on a full disk it is proved again next time
        write_record(_memory(kernel, connection), asdict(proof))
    return proof


def _silences(kernel: BootableKernel, connection: str) -> int:
    """How often this kernel has been silent by now, this time included. 1 where that cannot be written down."""
    path = _memory(kernel, connection).with_suffix(".silent.json")
    times = (read_record(path, lambda record: int(record["times"])) or 0) + 1
    with contextlib.suppress(OSError):
        write_record(path, {"times": times})
        return times
    return 1


def _otherwise(hypervisor: Hypervisor, request: PairRequest, under_kvm: Tried) -> Proof:
    """What follows from trouble that is no refusal."""
    kernel, tcg = request.kernel, boots(hypervisor, request, accelerator="tcg", limit=TCG_LIMIT)
    splat = under_kvm.splat or tcg.splat
    if tcg.problem:
        return Proof("", f"{kernel.name} boots nowhere; under KVM: {under_kvm.problem}; TCG: {tcg.problem}", splat)
    return Proof("tcg", f"{kernel.name} did not boot under KVM this time: {under_kvm.problem}", splat)


def forget() -> None:
    """All that was proved, so that it is tried anew."""
    for path in (cache_root() / "accelerator").glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()


def _proof(record: Mapping[str, Any]) -> Proof:
    """Raises KeyError, TypeError for what is no record of a proof."""
    proof = Proof(record["accelerator"], record["reason"], record["splat"])
    if proof.accelerator not in ("kvm", "tcg") or not all(isinstance(text, str) for text in asdict(proof).values()):
        raise TypeError("it is no proof")
    return proof


def _memory(kernel: BootableKernel, connection: str) -> Path:
    qemu = Path(emulator()).resolve()
    stamp = f"{qemu} {qemu.stat().st_size} {qemu.stat().st_mtime_ns}"
    return cache_root() / "accelerator" / f"{key_of('2', kernel.sha256, stamp, connection, boot_id())}.json"
