# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from lab.cli import checks
from lab.cli.checks import Check
from lab.cli.checks_boot import kvm_cure, one_sentence
from lab.cli.doctor import code_of, summary
from lab.cli.setup import _require_versions
from lab.contracts import HostSize
from lab.errors import HostTrouble
from lab.plan.learnt import Rate
from lab.plan.nics import NICS
from lab.provision.hypervisor import require_libvirt
from lab.provision.qemu import Qemu, cannot_run, parse_qemu
from lab.provision.saved import is_enforcing, memory_cure

DEVICES = 'Network devices:\nname "e1000e", bus PCI, desc "Intel"\nname "virtio-net-pci", bus PCI, alias "virtio-net"\n'


def test_qemu_is_read_from_its_own_words() -> None:
    qemu = parse_qemu("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright", DEVICES)
    assert qemu == Qemu((7, 2, 22), frozenset({"e1000e", "virtio-net-pci"}))
    assert parse_qemu("something else", "") == Qemu((0, 0, 0), frozenset())


def test_why_a_profile_cannot_run() -> None:
    qemu = Qemu((7, 2, 22), frozenset({"e1000e"}))
    assert cannot_run(NICS["e1000e-split"], qemu) == ""
    assert cannot_run(NICS["loopback"], qemu) == ""
    assert cannot_run(NICS["igb"], qemu) == "needs QEMU >= 8.0, this is 7.2.22"
    older = Qemu((7, 1, 0), frozenset({"e1000e"}))
    assert cannot_run(NICS["e1000e-split"], older) == "needs QEMU >= 7.2, this is 7.1.0"
    assert cannot_run(NICS["virtio"], qemu) == "this QEMU 7.2.22 has no virtio-net-pci"
    assert cannot_run(NICS["virtio"], None) == "no qemu-system-x86_64 on PATH"


@pytest.mark.parametrize(
    ("qemu", "status"),
    [(None, "bad"), (Qemu((7, 1, 0), frozenset()), "bad"), (Qemu((7, 2, 0), frozenset()), "ok")],
)
def test_qemu_has_to_know_stream_links(qemu: Qemu | None, status: str) -> None:
    check = checks.judge_qemu(qemu)
    assert check.status == status
    assert bool(check.cure) == (status == "bad")


@pytest.mark.parametrize(
    ("number", "fits"), [(8_001_009, False), (8_002_000, True), (9_000_000, True), (7_010_000, False)]
)
def test_libvirt_has_to_hand_files_to_qemu(number: int, *, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, or a daemon's; and what is installed here will do."""
    require_libvirt(9_000_000)
    with contextlib.nullcontext() if fits else pytest.raises(HostTrouble, match=r"needs 8\.2 or newer"):
        require_libvirt(number)
    monkeypatch.setattr("libvirt.getVersion", lambda: number)
    with contextlib.nullcontext() if fits else pytest.raises(HostTrouble, match="libvirt"):
        require_libvirt()


def test_setup_refuses_what_is_installed_and_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    _require_versions()
    monkeypatch.setattr("lab.provision.qemu.installed_qemu", lambda: Qemu((7, 0, 0), frozenset()))
    with pytest.raises(HostTrouble, match=r"QEMU 7\.0\.0 has no AF_UNIX stream link; the lab needs 7\.2"):
        _require_versions()


def test_a_missing_model_is_a_warning_and_no_model_at_all_is_bad() -> None:
    some = checks.judge_nics({"virtio": "", "igb": "too old"})
    assert (some.status, some.seen) == ("warn", "virtio; not igb (too old)")
    assert checks.judge_nics({"virtio": "no", "igb": "no"}).status == "bad"
    assert checks.judge_nics({"virtio": ""}).status == "ok"


def test_build_tools_that_lack_are_a_warning() -> None:
    assert checks.judge_build_tools([]).status == "ok"
    check = checks.judge_build_tools(["flex", "ccache"])
    assert (check.status, check.seen) == ("warn", "`lab kernel build` lacks flex, ccache")


def test_selinux_is_a_warning_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", "/c")
    enforce = tmp_path / "enforce"
    assert not is_enforcing(enforce)
    for text, enforcing in (("0", False), ("1\n", True)):
        enforce.write_text(text)
        assert is_enforcing(enforce) is enforcing
    assert memory_cure(enforce) == "sudo chcon -R -t svirt_image_t /c/states"
    assert checks.judge_selinux("").status == "ok"
    assert checks.judge_selinux(memory_cure(enforce)).cure.endswith("svirt_image_t /c/states")


def test_memory_shows_the_arithmetic() -> None:
    fits = checks.judge_memory(HostSize(8000, 2))
    assert fits.status == "ok"
    assert fits.seen.startswith(
        "at most 4 pairs at once on 2 CPUs: a standard pair takes 768 + 256 + 2 x 100 = 1224 MiB"
    )
    assert checks.judge_memory(HostSize(2300, 2)).seen.startswith("at most 1 pair at once")
    none = checks.judge_memory(HostSize(1500, 2))
    assert none.status == "bad"
    assert "1500 MiB available" in none.seen


def test_what_is_known_of_pairs_at_once_and_what_follows_from_it() -> None:
    host = HostSize(8000, 2)
    assert checks.judge_pairs({}, host).seen == "nothing is known of this host yet: one pair a CPU"
    known = {"tcg": {2: (Rate(0.5),), 3: (Rate(0.75), Rate(0.25, 1))}}
    assert checks.judge_pairs(known, host).seen == (
        "tcg: -n auto is 1, 2 did best so far, and 1 was never measured "
        "(work done a second: 2: 0.50 in 1 session, 3: 0.50 in 2 sessions (1 lost))"
    )


def test_disk_is_looked_at_where_the_folder_would_be_made(tmp_path: Path) -> None:
    wanted = tmp_path / "not" / "yet"
    assert checks.judge_disk("disk", wanted, 0, "LAB_CACHE").status == "ok"
    short = checks.judge_disk("disk", wanted, 1 << 40, "LAB_CACHE")
    assert short.status == "warn"
    assert str(tmp_path) in short.seen
    assert "LAB_CACHE" in short.cure


def test_a_check_that_fails_is_bad_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Check:
        raise HostTrouble("no dpkg", hint="another host")

    fine = Check("fine", "ok", "all is well")
    monkeypatch.setattr(checks, "_CHECKS", (("packages", broken), ("fine", lambda: fine)))
    assert checks.static_checks(lambda _: None) == [Check("packages", "bad", "no dpkg", "another host"), fine]


def test_the_last_line_and_the_exit_code() -> None:
    ok, warn, bad = (Check(s, s, "seen") for s in ("ok", "warn", "bad"))
    assert (summary([ok]), code_of([ok])) == ("The lab can run here.", 0)
    assert (summary([ok, warn]), code_of([warn])) == ("The lab can run here. Less than it could be: warn.", 0)
    assert (summary([ok, warn, bad]), code_of([warn, bad])) == ("The lab cannot run here yet: bad.", 3)


def test_a_failed_boot_is_told_in_one_sentence_with_a_cure_that_fits() -> None:
    assert one_sentence("cannot start:\n error\n\n  try: lab doctor") == "cannot start: error"
    assert len(one_sentence("x" * 1000)) < 250
    assert "firmware" in kvm_cure("there is no /dev/kvm")
    assert "adduser" in kvm_cure("/dev/kvm may not be opened by this user (group kvm)")
    assert "qemu.conf" in kvm_cure("Could not access KVM kernel module: Permission denied")
    assert "does not work" in kvm_cure("libvirt cannot start it")
