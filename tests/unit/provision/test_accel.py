# SPDX-License-Identifier: GPL-2.0-only
"""What was proved of an accelerator: what of it is remembered, and for how long."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.errors import DeadlinePassed, GuestLost, HostTrouble, LabTrouble
from lab.host.records import write_record
from lab.plan.case import STANDARD
from lab.plan.nics import NICS
from lab.provision import accel
from lab.provision.accel import Proof, boots, forget, is_refusal, prove, remembered
from lab.provision.guest import Guest
from lab.provision.pair import PairRequest
from tests.unit.provision.guests import NoHypervisor, guest

KERNEL = BootableKernel("k", Path("/k"), Path("/i"), "6.12", "stock", "0", "")
CANNOT_START = "libvirt cannot start lab-probe000-receiver: internal error: "
NOBODY = 65534
MSR = (
    f"{CANNOT_START}qemu unexpectedly closed the monitor: 2026-11-27T02:03:03.993890Z qemu-system-x86_64: error: "
    "failed to set MSR 0x10a to 0x69\nqemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: kvm_buf_set_msrs: "
    "Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed."
)
NO_FOLDER = f"{CANNOT_START}Unable to create directory '/tmp/lab-64pijf3g/probe/cache': No such file or directory"


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the proof is kept; on a host whose /dev/kvm may be tried."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    (tmp_path / "qemu").touch()
    monkeypatch.setattr(accel, "emulator", lambda: str(tmp_path / "qemu"))
    monkeypatch.setattr(accel, "kvm_device_problem", lambda *_: "")
    monkeypatch.setattr(accel, "require_sound", lambda *_: None)
    return accel._memory(KERNEL, "embed")


@dataclass
class Host:
    """What comes of starting a guest under each accelerator: trouble, or a console and how long it may take."""

    folder: Path
    kvm: LabTrouble | None = None
    tcg: LabTrouble | None = None
    console: str = "Linux version 6.12\n"
    status: str = "VM status: running"
    kernel: BootableKernel = KERNEL
    tried: list[str] = field(default_factory=list)
    limits: list[timedelta] = field(default_factory=list)

    @property
    def request(self) -> PairRequest:
        image = GuestImage(Path("/u"), "0", "0")
        sockets = self.folder / "s"
        return PairRequest(
            "probe000", NICS["loopback"], STANDARD, self.kernel, image, "tcg", self.folder / "p", sockets
        )

    @property
    def hypervisor(self) -> NoHypervisor:
        hypervisor = NoHypervisor()
        hypervisor.uri = "embed"
        return hypervisor

    def prove(self) -> Proof:
        return prove(self.hypervisor, self.request)

    @contextlib.contextmanager
    def started(self, _hypervisor: object, plan: Any, *_: object) -> Iterator[Guest]:  # noqa: ANN401
        self.tried.append(plan.accelerator)
        trouble = self.kvm if plan.accelerator == "kvm" else self.tcg
        if isinstance(trouble, HostTrouble):
            raise trouble
        Path(plan.console).write_text(self.console)
        there = guest(self.folder)
        there.hypervisor.status = lambda *_: self.status  # type: ignore[method-assign]

        def wait(limit: timedelta) -> None:
            self.limits.append(limit)
            if trouble:
                raise trouble

        object.__setattr__(there, "wait_ready", wait)
        yield there


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(accel, "started", host.started)
    return host


REAL_PROBLEM = accel.kvm_device_problem


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    ("connection", "asked"), [("embed", True), ("qemu:///session", True), ("qemu:///system", False)]
)
def test_the_user_who_is_asked_for_the_device_is_the_one_who_runs_qemu(connection: str, *, asked: bool) -> None:
    """As an ordinary user, who may not open it; with the system's daemon that says nothing of QEMU's user."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        device = Path(folder) / "kvm"
        device.touch(0o600)
        assert REAL_PROBLEM(connection, device) == ""
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            told = REAL_PROBLEM(connection, device)
        finally:
            os.setresuid(0, 0, 0)
    assert bool(told) is asked
    assert REAL_PROBLEM(connection, device) == f"there is no {device}"


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        (MSR, True),
        (f"{CANNOT_START}qemu-system-x86_64: Could not access KVM kernel module: Permission denied", True),
        (f"{CANNOT_START}qemu-system-x86_64: ioctl(KVM_CREATE_VM) failed: 22 Invalid argument", True),
        ("unsupported configuration: Emulator '/usr/bin/q' does not support virt type 'kvm'", True),
        (NO_FOLDER, False),
        (f"{CANNOT_START}qemu-system-x86_64: ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy", False),
        (f"{CANNOT_START}qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory", False),
        ("cannot open the ready port /tmp/kvm/s: Connection refused", False),
    ],
)
def test_a_refusal_is_told_from_other_trouble_by_the_words_of_qemu(message: str, *, refused: bool) -> None:
    assert is_refusal(message) is refused


def test_what_booted_is_remembered(host: Host) -> None:
    assert (host.prove().accelerator, host.prove().accelerator, host.tried) == ("kvm", "kvm", ["kvm"])


def test_what_kvm_refused_is_remembered(host: Host) -> None:
    host.kvm = HostTrouble(MSR, hint="lab doctor")
    assert host.prove() == host.prove()
    assert (host.prove().accelerator, host.tried) == ("tcg", ["kvm"])
    assert "failed to set MSR 0x10a" in host.prove().reason


PASSING = [HostTrouble(NO_FOLDER), DeadlinePassed("20 s passed"), GuestLost("its QEMU process ended from outside")]


@pytest.mark.parametrize("trouble", PASSING)
def test_other_trouble_is_forgotten_and_kvm_tried_again(trouble: LabTrouble, host: Host) -> None:
    host.kvm = trouble
    first = host.prove()
    assert first.accelerator == "tcg"
    assert "this time" in first.reason
    assert trouble.message in first.reason
    host.kvm = None
    assert (host.prove().accelerator, host.tried) == ("kvm", ["kvm", "tcg", "kvm"])


def test_who_is_silent_under_kvm_twice_is_not_tried_a_third_time(host: Host) -> None:
    """Until all is tried anew."""
    host.kvm, host.console = DeadlinePassed("20 s passed"), ""
    assert "this time" in host.prove().reason
    assert "said nothing under KVM, 2 times: 20 s passed" in host.prove().reason
    assert (host.prove().accelerator, host.tried) == ("tcg", ["kvm", "tcg"] * 2)
    forget()
    assert "this time" in host.prove().reason
    assert len(host.tried) == 6


def test_silence_of_a_kernel_that_boots_nowhere_is_not_counted(host: Host) -> None:
    host.kvm = host.tcg = DeadlinePassed("20 s passed")
    host.console = ""
    for _ in range(3):
        assert host.prove().accelerator == ""
    host.tcg = None
    assert "this time" in host.prove().reason


def test_a_kernel_that_boots_nowhere_says_nothing_of_kvm(host: Host, memory: Path) -> None:
    host.kvm = host.tcg = GuestLost("powered off, or rebooted after a panic")
    proof = host.prove()
    assert (proof.accelerator, host.tried) == ("", ["kvm", "tcg"])
    assert "k boots nowhere" in proof.reason
    assert not memory.exists()


def test_a_guest_that_kvm_gave_up_on_was_refused(host: Host) -> None:
    host.kvm, host.status = DeadlinePassed("20 s passed"), "VM status: paused (internal-error)"
    assert host.prove().accelerator == "tcg"
    assert "internal-error" in host.prove().reason
    assert host.tried == ["kvm"]


def test_nothing_is_remembered_beyond_this_boot_of_the_host(
    host: Host, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.prove()
    assert memory.exists()
    monkeypatch.setattr(accel, "boot_id", lambda: "another")
    assert remembered(KERNEL) is None


def test_each_connection_has_a_proof_of_its_own(host: Host) -> None:
    host.prove()
    assert remembered(KERNEL, "qemu:///system") is None


def test_what_was_forgotten_is_tried_anew(host: Host) -> None:
    host.kvm = HostTrouble(MSR)
    host.prove()
    forget()
    host.kvm = None
    assert (host.prove().accelerator, host.tried) == ("kvm", ["kvm", "kvm"])


SPLAT = "[    0.5] ------------[ cut here ]------------\n"
SPLAT += "[    0.5] WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:42 oh+0x1/0x2\n"


def test_what_the_kernel_complained_of_while_it_booted_is_told_each_time(host: Host) -> None:
    host.console = f"Linux version 6.12\n{SPLAT}"
    assert "mm/page_alloc.c:42" in host.prove().splat
    assert host.prove() == host.prove()
    assert host.tried == ["kvm"]
    host.console = "Linux version 6.12\n"
    forget()
    assert host.prove().splat == ""


def test_a_debug_kernel_is_given_the_time_it_needs(host: Host) -> None:
    host.kernel = replace(KERNEL, fragments=("debug.config",))
    for kernel in (KERNEL, host.kernel):
        request = replace(host.request, kernel=kernel)
        assert not boots(host.hypervisor, request, accelerator="kvm", limit=timedelta(seconds=20)).problem
    assert host.limits == [timedelta(seconds=20), timedelta(seconds=80)]


def test_a_proof_that_cannot_be_kept_is_made_again(host: Host, memory: Path) -> None:
    memory.parent.write_text("a file where a folder should be")
    assert (host.prove().accelerator, host.prove().accelerator, host.tried) == ("kvm", "kvm", ["kvm", "kvm"])


GOOD = {"accelerator": "kvm", "reason": "a guest booted", "splat": ""}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", json.dumps({**GOOD, "reason": 3}), json.dumps({**GOOD, "accelerator": ""}),
     json.dumps({**GOOD, "digest": "0"})],
)  # fmt: skip
def test_a_damaged_proof_is_none_and_told_once(memory: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    memory.parent.mkdir(parents=True)
    memory.write_text(text)
    assert remembered(KERNEL) is None
    assert str(memory) in capsys.readouterr().err
    assert remembered(KERNEL) is None
    assert capsys.readouterr().err == ""
    write_record(memory, GOOD)
    assert remembered(KERNEL) == Proof("kvm", "a guest booted")
