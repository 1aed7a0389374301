# SPDX-License-Identifier: GPL-2.0-only
"""The first level: what QEMU is told, and what it may write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from tests.kvm import __main__ as campaign
from tests.kvm import machine
from tests.kvm.image import FirstLevel
from tests.kvm.steps import STEPS, chosen

FIRST = FirstLevel(Path("/cache/disk.img"), Path("/cache/vmlinux"), Path("/cache/initrd"))


def test_the_guest_may_write_to_one_folder_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "emulator", lambda: "qemu-system-x86_64")
    line = machine.argv(FIRST, Path("/out"))
    writable = [word for word in line if word.startswith("local,") and "readonly=on" not in word]
    assert writable == ["local,id=fs-out,path=/out/from-guest,security_model=none"]
    assert any(word.endswith("snapshot=on") for word in line)
    assert not any("netdev" in word for word in line)


def test_places_of_shares_need_no_quotes_on_a_command_line() -> None:
    assert not [place for _, place in machine.shares().values() if set(place) & set(" ,:")]


def test_qemu_that_ends_early_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "argv", lambda first, out: ["sh", "-c", "echo no such machine; exit 1"])
    told = pytest.raises(LabError, match=r"QEMU ended while waiting for the boot.*no such machine")
    with told, machine.running(FIRST, tmp_path) as qemu:
        qemu.wait(10)
        campaign._wait(qemu, tmp_path, "the boot", campaign.BOOT_LIMIT, lambda line: True)


def test_qemu_is_gone_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "argv", lambda first, out: ["sleep", "600"])
    with pytest.raises(KeyboardInterrupt), machine.running(FIRST, tmp_path) as process:
        raise KeyboardInterrupt
    assert process.returncode is not None


def test_a_wait_has_an_end_and_says_what_it_last_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "argv", lambda first, out: ["sleep", "600"])
    (tmp_path / "console").write_text("Loading, please wait...\n")
    soon = campaign.POLL
    with (
        pytest.raises(LabError, match=r"waited 0.5 s for the boot; last saw: Loading, please wait\.\.\."),
        machine.running(FIRST, tmp_path) as process,
    ):
        campaign._wait(process, tmp_path, "the boot", soon, lambda line: True)


def test_steps_are_chosen_in_the_order_of_the_table() -> None:
    first, second = STEPS[0].name, STEPS[1].name
    assert [step.name for step in chosen([second, first])] == [first, second]
    assert chosen([]) == STEPS
    assert len({step.name for step in STEPS}) == len(STEPS)
