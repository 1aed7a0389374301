# SPDX-License-Identifier: GPL-2.0-only
"""The peer's side: real processes on terminals in the place of virtme-ng."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from bench import virtme
from bench.virtme import Virtme, VirtmeKernel, commands, lab_kernel, pair_seconds
from lab.errors import DeadlinePassed, GuestLost


@pytest.fixture
def peer(tmp_path: Path) -> Virtme:
    return Virtme(tmp_path, tmp_path / "busybox")


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_both_guests_are_waited_for(peer: Virtme, tmp_path: Path) -> None:
    """Whoever makes the directory first says the mark at once, the other one half a second later."""
    script = "mkdir first 2>/dev/null || sleep 0.5; echo boot; echo lab-$((41+1)); sleep 60"
    assert 0.5 <= pair_seconds(peer, sh(script), tmp_path) < 20


def test_they_are_gone_afterwards(peer: Virtme, tmp_path: Path) -> None:
    pair_seconds(peer, sh("sleep 60 & echo $$ $! >>pids; echo lab-$((41+1)); sleep 60"), tmp_path)
    began, pids = time.monotonic(), (tmp_path / "pids").read_text().split()
    assert len(pids) == 4
    for pid in pids:
        while (Path("/proc") / pid).exists() and not _zombie(pid):
            assert time.monotonic() - began < 10
            os.sched_yield()


def _zombie(pid: str) -> bool:
    try:
        return (Path("/proc") / pid / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_command_on_the_screen_is_not_its_answer(peer: Virtme, tmp_path: Path) -> None:
    with pytest.raises(GuestLost, match="before its command was run"):
        pair_seconds(peer, sh("echo 'Command line: echo lab-$((41+1))'"), tmp_path)


def test_a_guest_that_says_nothing_meets_the_deadline(
    peer: Virtme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtme, "LIMIT", timedelta(seconds=0.3))
    with pytest.raises(DeadlinePassed, match="two virtme-ng guests"):
        pair_seconds(peer, sh("echo half; sleep 60"), tmp_path)


def test_the_accelerator_and_the_kernel_are_ours(peer: Virtme) -> None:
    kernel, image = VirtmeKernel(Path("/k/boot/vmlinux-6"), modular=False), Path("/i/userland.erofs")
    for argv in commands(peer, kernel, "tcg", image).values():
        assert "--disable-kvm" in argv
        assert str(kernel.image) in argv
    assert not any("--disable-kvm" in argv for argv in commands(peer, kernel, "kvm", image).values())


def test_what_the_shared_kernel_adds_contradicts_nothing() -> None:
    recipe = lab_kernel("stock-virtme")
    assert "CONFIG_9P_FS=y" in recipe.fragments[-1].text
    assert not recipe.series.patches
