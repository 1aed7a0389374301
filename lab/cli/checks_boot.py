# SPDX-License-Identifier: GPL-2.0-only
"""What `lab doctor` proves by doing: libvirt's driver opens, and a guest boots under an accelerator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.checks import SETUP, Check
from lab.contracts import Progress
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.provision.accel import Proof, Tried
    from lab.provision.hypervisor import Hypervisor
    from lab.provision.pair import PairRequest

TOLD = 200  # characters of a failure that a table can bear
NAME = "accelerator"


def boot_checks(progress: Progress) -> list[Check]:
    """libvirt, then the accelerator. Never raises a LabError: that is what it tells."""
    from lab.cli.guests import private_hypervisor

    progress("opening libvirt")
    checks: list[Check] = []
    try:
        with private_hypervisor() as (hypervisor, folder):
            told = f"{hypervisor.libvirt_version}, embedded driver opened with QEMU {hypervisor.qemu_version}"
            checks.append(Check("libvirt", "ok", told))
            checks += check_account()
            checks.append(check_accelerator(hypervisor, folder, progress))
    except LabError as exc:
        checks.append(Check("libvirt" if not checks else NAME, "bad", exc.message, exc.hint or SETUP))
    return checks


def check_account() -> list[Check]:
    """Whom guests run as where the lab runs as root; an ordinary user's guests are that user's."""
    from lab.provision.confined import USER, account

    who, why = account()
    if who is not None:
        return [Check("QEMU's user", "ok", f"guests run as {who.name}, which sees their files and no others of yours")]
    cure = f"make setup (its packages bring {USER}), CAP_SYS_ADMIN in a container, or run the lab as an ordinary user"
    return [Check("QEMU's user", "warn", f"guests run as root: {why}", cure)] if why else []


def check_accelerator(hypervisor: Hypervisor, folder: Path, progress: Progress) -> Check:
    """KVM where its device can be opened and a guest boots under it; else TCG, proved likewise. Raises LabTrouble.

    All that was proved before is tried anew from now on, by sessions as well.
    """
    from lab.cli.guests import prepared
    from lab.kernels.catalogue import catalogue
    from lab.provision.accel import forget, prove
    from lab.session.prepare import probe_request

    newest = [k.name for k in catalogue() if k.fetched][-1]
    kernel, image = prepared(newest, progress)
    request = probe_request(kernel, image, folder, folder)
    forget()
    progress("booting a guest under KVM")
    proof = prove(hypervisor, request)
    if proof.accelerator == "kvm":
        return judge_kvm(proof)
    problem = one_sentence(proof.reason)
    seconds, tried = _boot(hypervisor, request, progress)
    if tried.problem:
        return Check(NAME, "bad", f"no guest boots; KVM: {problem}; TCG: {one_sentence(tried.problem)}", SETUP)
    told = f"TCG: a guest with {kernel.name} booted in {seconds:.1f} s. No KVM: {problem}"
    cure = f"none needed, runs are only slower; for KVM: {kvm_cure(problem)}"
    return Check(NAME, "warn", f"{told}{_said(tried.splat or proof.splat)}", cure)


def judge_kvm(proof: Proof) -> Check:
    """A kernel that complains while it boots is told: KVM works, and the kernel may not."""
    if proof.splat:
        cure = "another kernel, to see whose fault it is"
        return Check(NAME, "warn", f"KVM: {proof.reason}{_said(proof.splat)}", cure)
    return Check(NAME, "ok", f"KVM: {proof.reason}")


def _said(splat: str) -> str:
    return f". While it booted it said: {one_sentence(splat)}" if splat else ""


def one_sentence(problem: str) -> str:
    """What happened on one line, without the hint that this command would give."""
    lines = [line.strip() for line in problem.splitlines() if not line.startswith("  try: ")]
    text = " ".join(line for line in lines if line)
    return text if len(text) <= TOLD else f"{text[:TOLD]}..."


def kvm_cure(problem: str) -> str:
    """By what kept KVM from being used."""
    if "there is no /dev/kvm" in problem:
        return "switch on virtualisation in the firmware, or nested virtualisation on the host of this machine"
    if "may not be opened" in problem:
        return "sudo adduser $USER kvm, then log in again"
    if "Permission denied" in problem:
        return "let QEMU's user (user = in /etc/libvirt/qemu.conf) open /dev/kvm: its group is most often kvm"
    return "/dev/kvm is there but does not work; look into nested virtualisation on the host of this machine"


def _boot(hypervisor: Hypervisor, request: PairRequest, progress: Progress) -> tuple[float, Tried]:
    """Seconds to the ready line under TCG, and what came of it."""
    from lab.provision.accel import TCG_LIMIT, boots

    progress("booting a guest under TCG")
    began = time.monotonic()
    tried = boots(hypervisor, request, accelerator="tcg", limit=TCG_LIMIT)
    return time.monotonic() - began, tried
